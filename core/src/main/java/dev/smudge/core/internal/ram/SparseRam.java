package dev.smudge.core.internal.ram;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * RAM of our own, committed as it is touched: shared mappings of a sparse file that has no name any
 * more. {@code Arena.allocate} would write zeroes to all of it, and a private mapping is refused
 * when it is larger than the machine's memory.
 *
 * <p>To grow, the file is mapped once more, and longer: both mappings show the same bytes. Whoever
 * uses a part of it has a {@link Pin}; a mapping without pins is unmapped, and without any pin at
 * all the file goes too. Thread-safe.
 */
public final class SparseRam {
  private static final String POISON = "dev.smudge.poison";
  private static final byte POISON_BYTE = (byte) 0xdb;
  private static final long MOST_POISONED = 1L << 26;
  private static final Path SHARED_MEMORY = Path.of("/dev/shm");
  private static final long ENOUGH = 1L << 30;

  /** A process may have few files open: RAM beyond these closes its own, and cannot grow. */
  private static final int MOST_FILES = 4096;

  private static final AtomicInteger FILES = new AtomicInteger();

  private final Set<SparseRam> all; // those that have mappings, of one memory
  private @Nullable FileChannel file;
  private final List<Mapping> mappings = new ArrayList<>();
  private final Set<Pin> pins = new HashSet<>();
  private long length; // of the file
  private boolean closed;

  /** Makes RAM that is there with its first pin. */
  public SparseRam(Set<SparseRam> all) {
    this.all = all;
  }

  private static final class Mapping {
    final Arena arena;
    final MemorySegment segment;
    int users;

    Mapping(Arena arena, MemorySegment segment) {
      this.arena = arena;
      this.segment = segment;
    }
  }

  /** Keeps a part of the RAM mapped. */
  public final class Pin {
    private final long offset;
    private final Mapping mapping;
    private final MemorySegment segment;

    private Pin(long offset, long size, Mapping mapping) {
      this.offset = offset;
      this.mapping = mapping;
      this.segment = mapping.segment.asSlice(offset, size);
    }

    /** {@return the part} */
    public MemorySegment segment() {
      return segment;
    }

    /** Another pin of a part of this one's, while this one is there. */
    public Pin pin(long from, long size) {
      return SparseRam.this.pin(offset + from, size);
    }

    /** Gives it up; without any pin its mapping goes. A second call does nothing. */
    public void release() {
      SparseRam.this.release(this);
    }
  }

  /**
   * Pins a part; what is beyond the end is added, all zero.
   *
   * @throws UncheckedIOException if the system gives no memory
   * @throws IllegalStateException if the memory is closed
   */
  public synchronized Pin pin(long offset, long size) {
    if (closed) {
      throw new IllegalStateException("the guest memory is closed");
    }
    Mapping mapping = mappingFor(offset + size);
    mapping.users++;
    Pin pin = new Pin(offset, size, mapping);
    pins.add(pin);
    return pin;
  }

  private Mapping mappingFor(long end) {
    for (Mapping mapping : mappings) {
      if (mapping.segment.byteSize() >= end && mapping.segment.scope().isAlive()) {
        return mapping;
      }
    }
    Arena arena = Arena.ofShared();
    try {
      Mapping mapping = new Mapping(arena, map(Math.max(length, end), arena));
      length = mapping.segment.byteSize();
      mappings.add(mapping);
      all.add(this);
      return mapping;
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private MemorySegment map(long end, Arena arena) {
    try {
      FileChannel open = file;
      if (open == null) {
        if (length != 0) {
          throw new IOException(
              "its file was closed, since more than " + MOST_FILES + " were open");
        }
        open = newFile(end);
      }
      MemorySegment segment;
      try {
        segment = open.map(FileChannel.MapMode.READ_WRITE, 0, end, arena);
      } catch (IOException | RuntimeException | Error e) {
        if (file == null) {
          open.close();
        }
        throw e;
      }
      if (file == null) {
        keep(open);
      }
      return segment;
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot map "
              + end
              + " bytes of guest RAM from a sparse file in "
              + directoryFor(end)
              + "; pass a MemorySegment of your own instead",
          e);
    }
  }

  private void keep(FileChannel open) throws IOException {
    if (FILES.incrementAndGet() <= MOST_FILES) {
      file = open;
    } else {
      FILES.decrementAndGet();
      open.close();
    }
  }

  private static FileChannel newFile(long size) throws IOException {
    Path path = Files.createTempFile(directoryFor(size), "smudge-", ".ram");
    try {
      return FileChannel.open(
          path, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.SPARSE);
    } finally {
      Files.delete(path);
    }
  }

  /** Zeroes a part that was used before, and by nobody now. */
  public static void clear(Pin pin, RamRange fresh, long usedEnd) {
    long end = Math.min(usedEnd, fresh.end());
    if (fresh.from() < end) {
      pin.segment.asSlice(fresh.from() - pin.offset, end - fresh.from()).fill((byte) 0);
    }
  }

  /** {@return how long it is: what is beyond is zero when it comes} */
  public synchronized long length() {
    return length;
  }

  /** Whether a part is used by nobody. */
  public synchronized boolean isFree(long from, long end) {
    for (Pin pin : pins) {
      if (pin.offset < end && from < pin.offset + pin.segment.byteSize()) {
        return false;
      }
    }
    return true;
  }

  private synchronized void release(Pin pin) {
    if (!pins.remove(pin)) {
      return;
    }
    Mapping mapping = pin.mapping;
    mapping.users--;
    boolean poison = Boolean.getBoolean(POISON);
    if (pins.isEmpty() && poison) {
      // It stays mapped, so that who uses it after this reads the poison.
      mapping.segment.asSlice(0, Math.min(length, MOST_POISONED)).fill(POISON_BYTE);
    }
    if (!poison && mapping.users == 0) {
      try {
        unmap(mapping);
      } catch (IllegalStateException e) {
        return; // I/O into it is under way: unmapped when the memory is closed
      }
    }
    if (pins.isEmpty() && mappings.isEmpty()) {
      closeFile();
    }
  }

  private void unmap(Mapping mapping) {
    mapping.arena.close();
    mappings.remove(mapping);
  }

  private void closeFile() {
    all.remove(this);
    length = 0; // it can begin anew: a commit that has failed is tried again
    try {
      if (file != null) {
        file.close();
        file = null;
        FILES.decrementAndGet();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Unmaps everything, pinned or not.
   *
   * @throws IllegalStateException if I/O into it is under way: it can be tried again
   */
  public synchronized void close() {
    closed = true;
    while (!mappings.isEmpty()) { // one by one: closing can be tried again
      unmap(mappings.getLast());
    }
    closeFile();
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
