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
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * RAM of our own, committed as it is touched: shared mappings of a sparse file that has no name any
 * more. {@code Arena.allocate} would write zeroes to all of it, and a private mapping is refused
 * when it is larger than the machine's memory.
 *
 * <p><b>Where native access is granted</b>, vCPUs reach it by address, and a handle of a vCPU can
 * keep that address for ever: its thread has died, say, and the memory was closed. So the addresses
 * stay mapped until nobody can reach them any more. The file is cut to nothing in their place: its
 * memory is free again, and an access by address is an {@code InternalError}; one through a segment
 * says that it is closed.
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

  /** What RAM of ours may still take of shared memory: all of it counts, touched or not. */
  private static final AtomicLong PROMISED = new AtomicLong();

  /** Whether the embedder has granted native access, so that asking for it prints no warning. */
  public static final boolean NATIVE = SparseRam.class.getModule().isNativeAccessEnabled();

  /**
   * A process may have few files open: RAM beyond these closes its own. It cannot grow then, and is
   * reached through its segment only.
   */
  private static final int MOST_FILES = mostFiles();

  private static final AtomicInteger FILES = new AtomicInteger();

  private final Set<SparseRam> all; // those that have mappings, of one memory
  private @Nullable FileChannel file;
  private final List<Mapping> mappings = new ArrayList<>();
  private final Set<Pin> pins = new HashSet<>();
  private long length; // of the file
  private boolean inSharedMemory;
  private boolean closed;

  /** Makes RAM that is there with its first pin. */
  public SparseRam(Set<SparseRam> all) {
    this.all = all;
  }

  private static final class Mapping {
    final Arena arena; // of the segment
    final MemorySegment segment;
    final @Nullable MemorySegment addresses; // mapped while this is reachable; null: as the segment
    int users;

    @SuppressWarnings("restricted") // granted
    Mapping(Arena arena, MemorySegment mapped, boolean stays) {
      this.arena = arena;
      this.addresses = stays ? mapped : null;
      this.segment = stays ? mapped.reinterpret(arena, null) : mapped;
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

    /** {@return its address, which stays mapped while this pin is reachable; 0: it does not} */
    public long address() {
      return mapping.addresses == null ? 0 : segment.address();
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
      Mapping mapping = map(Math.max(length, end), arena);
      if (inSharedMemory) {
        PROMISED.addAndGet(mapping.segment.byteSize() - length);
      }
      length = mapping.segment.byteSize();
      mappings.add(mapping);
      all.add(this);
      return mapping;
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private Mapping map(long end, Arena arena) {
    FileChannel open = file;
    try {
      if (open == null) {
        if (length != 0) {
          throw new IOException(
              "its file was closed, since more than " + MOST_FILES + " were open");
        }
        open = newFile(end);
      }
      boolean keeps = file != null || FILES.incrementAndGet() <= MOST_FILES;
      try {
        boolean stays = NATIVE && keeps;
        FileChannel from = open;
        Arena lifetime = stays ? Arena.ofAuto() : arena;
        MemorySegment mapped =
            undisturbed(() -> from.map(FileChannel.MapMode.READ_WRITE, 0, end, lifetime));
        Mapping mapping = new Mapping(arena, mapped, stays);
        if (keeps) {
          file = open;
        }
        return mapping;
      } finally {
        if (file == null) { // it threw, or is not kept
          FILES.decrementAndGet();
          open.close();
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot map "
              + end
              + " bytes of guest RAM from a sparse file in "
              + (inSharedMemory ? SHARED_MEMORY : temporaryDirectory())
              + "; pass a MemorySegment of your own instead",
          e);
    }
  }

  private interface FileCall<T> {
    T call() throws IOException;
  }

  /**
   * Calls in a thread that nobody interrupts: an interrupt of the thread that uses a channel closes
   * it, and RAM whose file is closed can never grow again.
   */
  private static <T> T undisturbed(FileCall<T> call) throws IOException {
    CompletableFuture<T> result = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .name("smudge-ram")
        .start(() -> {
          try {
            result.complete(call.call());
          } catch (Throwable e) {
            result.completeExceptionally(e);
          }
        });
    try {
      return result.join(); // an interrupt does not end it, and is kept
    } catch (CompletionException e) {
      switch (Objects.requireNonNull(e.getCause())) {
        case IOException io -> throw io;
        case RuntimeException other -> throw other;
        case Error error -> throw error;
        default -> throw e;
      }
    }
  }

  private FileChannel newFile(long size) throws IOException {
    inSharedMemory = fitsSharedMemory(size);
    Path directory = inSharedMemory ? SHARED_MEMORY : temporaryDirectory();
    Path path = Files.createTempFile(directory, "smudge-", ".ram");
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
    if (inSharedMemory) {
      PROMISED.addAndGet(-length);
    }
    length = 0; // it can begin anew: a commit that has failed is tried again
    FileChannel open = file;
    if (open == null) {
      return;
    }
    try {
      if (NATIVE) {
        undisturbed(() -> open.truncate(0)); // addresses may stay mapped for long: see the class
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      file = null;
      FILES.decrementAndGet();
      close(open);
    }
  }

  private static void close(FileChannel open) {
    try {
      open.close();
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

  /**
   * Memory where there is enough of it, also once all RAM of ours there has been touched; else a
   * disk, if that has more: a container may have only 64 MiB of shared memory.
   */
  private static boolean fitsSharedMemory(long size) {
    try {
      if (!Files.isWritable(SHARED_MEMORY)) {
        return false;
      }
      long room = Files.getFileStore(SHARED_MEMORY).getUsableSpace() - PROMISED.get();
      return room >= size || room >= Files.getFileStore(temporaryDirectory()).getUsableSpace();
    } catch (IOException e) {
      return false; // it cannot be asked, so it is not used
    }
  }

  /** A quarter of what the process may have open. */
  private static int mostFiles() {
    try (Stream<String> limits = Files.lines(Path.of("/proc/self/limits"))) {
      return limits
          .filter(line -> line.startsWith("Max open files"))
          .map(line -> line.substring("Max open files".length()).strip())
          .map(both -> both.substring(0, both.indexOf(' ')))
          .mapToInt(soft -> soft.length() > 5 ? 4096 : Math.min(4096, Integer.parseInt(soft) / 4))
          .findFirst()
          .orElse(64);
    } catch (IOException | UncheckedIOException e) {
      return 64; // no Linux: as where 256 are allowed
    }
  }

  private static Path temporaryDirectory() {
    return Path.of(System.getProperty("java.io.tmpdir"));
  }
}
