package dev.smudge.core;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Every kind of RAM that a slot may have. */
enum RamKind {
  SPARSE(8),
  NATIVE(8),
  MAPPED_FILE(8),
  BYTE_ARRAY(0),
  SHORT_ARRAY(0),
  INT_ARRAY(4),
  LONG_ARRAY(8),
  DIRECT_BUFFER(8),
  HEAP_BUFFER(0),
  NATIVE_OFF_BY_ONE(0),
  NATIVE_OFF_BY_FOUR(4);

  /** The widest atomic access that it allows. */
  final int atomicWidth;

  RamKind(int atomicWidth) {
    this.atomicWidth = atomicWidth;
  }

  GuestSlot addTo(GuestMemory memory, Arena arena, int id, long address, int size, long pageSize) {
    return this == SPARSE
        ? memory.addSlot(id, address, size, pageSize)
        : memory.addSlot(id, address, allocate(arena, size), pageSize);
  }

  private MemorySegment allocate(Arena arena, int size) {
    return switch (this) {
      case SPARSE -> throw new AssertionError("made by the memory");
      case NATIVE -> arena.allocate(size, 8);
      case MAPPED_FILE -> mapFile(arena, size);
      case BYTE_ARRAY -> MemorySegment.ofArray(new byte[size]);
      case SHORT_ARRAY -> MemorySegment.ofArray(new short[size / 2]);
      case INT_ARRAY -> MemorySegment.ofArray(new int[size / 4]);
      case LONG_ARRAY -> MemorySegment.ofArray(new long[size / 8]);
      case DIRECT_BUFFER ->
          MemorySegment.ofBuffer(
              ByteBuffer.allocateDirect(size + 8).alignedSlice(8).slice(0, size));
      case HEAP_BUFFER -> MemorySegment.ofBuffer(ByteBuffer.allocate(size));
      case NATIVE_OFF_BY_ONE -> arena.allocate(size + 1, 8).asSlice(1, size);
      case NATIVE_OFF_BY_FOUR -> arena.allocate(size + 4, 8).asSlice(4, size);
    };
  }

  private static MemorySegment mapFile(Arena arena, int size) {
    try {
      Path file = Files.createTempFile("smudge-test-", ".ram");
      try (FileChannel channel =
          FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        return channel.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
