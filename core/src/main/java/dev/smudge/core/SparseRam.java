package dev.smudge.core;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * RAM that is committed as it is touched: a shared mapping of a sparse file that has no name any
 * more. {@code Arena.allocate} would write zeroes to all of it, and a private mapping is refused
 * when it is larger than the machine's memory.
 */
final class SparseRam {
  private static final Path SHARED_MEMORY = Path.of("/dev/shm");
  private static final long ENOUGH = 1L << 30;

  private SparseRam() {}

  /** A zeroed segment of so many bytes, unmapped when the arena closes. */
  static MemorySegment map(long size, Arena arena) {
    Path directory = directoryFor(size);
    try {
      Path file = Files.createTempFile(directory, "smudge-", ".ram");
      try (FileChannel channel =
          FileChannel.open(
              file, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.SPARSE)) {
        return channel.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot map "
              + size
              + " bytes of guest RAM from a sparse file in "
              + directory
              + "; pass a MemorySegment of your own instead",
          e);
    }
  }

  /** Memory where there is some, else a disk: a container may have only 64 MiB of shared memory. */
  private static Path directoryFor(long size) {
    try {
      if (Files.isWritable(SHARED_MEMORY)
          && Files.getFileStore(SHARED_MEMORY).getUsableSpace() >= Math.min(size, ENOUGH)) {
        return SHARED_MEMORY;
      }
    } catch (IOException e) {
      return temporaryDirectory(); // it cannot be asked, so it is not used
    }
    return temporaryDirectory();
  }

  private static Path temporaryDirectory() {
    return Path.of(System.getProperty("java.io.tmpdir"));
  }
}
