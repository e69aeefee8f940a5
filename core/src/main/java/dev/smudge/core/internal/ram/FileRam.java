package dev.smudge.core.internal.ram;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * RAM without native access: shared mappings of a sparse file that has no name any more. {@code
 * Arena.allocate} would write zeroes to all of it, and a private mapping of a file is refused when
 * it is larger than the machine's memory. To grow, the file is mapped once more, and longer: both
 * mappings show the same bytes.
 *
 * <p>Where vCPUs reach it by address, the addresses of a mapping stay mapped while they can be
 * reached. When the RAM is free the file is cut to nothing: its memory is free, and an access by
 * address is an {@code InternalError}.
 */
final class FileRam implements RamSource {
  private static final Path SHARED_MEMORY = Path.of("/dev/shm");

  /** What RAM of ours may still take of shared memory: all of it counts, touched or not. */
  private static final AtomicLong PROMISED = new AtomicLong();

  /**
   * A process may have few files open: RAM beyond these closes its own. It cannot grow then, and is
   * reached through its segment only.
   */
  private static final int MOST_FILES = mostFiles();

  private static final AtomicInteger FILES = new AtomicInteger();

  private @Nullable FileChannel file;
  private long length; // of the file
  private boolean inSharedMemory;

  @Override
  public RamMapping map(long end, Arena arena) {
    RamMapping mapping = mapFile(Math.max(length, end), arena);
    if (inSharedMemory) {
      PROMISED.addAndGet(mapping.segment().byteSize() - length);
    }
    length = mapping.segment().byteSize();
    return mapping;
  }

  private RamMapping mapFile(long end, Arena arena) {
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
        boolean stays = SparseRam.NATIVE && keeps;
        FileChannel from = open;
        Arena lifetime = stays ? Arena.ofAuto() : arena;
        MemorySegment mapped =
            undisturbed(
                new FileCall<MemorySegment>() { // no lambda over a long (design.md 3.8)
                  @Override
                  public MemorySegment call() throws IOException {
                    return from.map(FileChannel.MapMode.READ_WRITE, 0, end, lifetime);
                  }
                });
        RamMapping mapping = new RamMapping(arena, mapped, stays);
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
      Throwable cause = e.getCause(); // no switch over types: it may stay unlinked
      if (cause instanceof IOException io) {
        throw io;
      }
      if (cause instanceof RuntimeException other) {
        throw other;
      }
      if (cause instanceof Error error) {
        throw error;
      }
      throw e;
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

  /** Zeroes it. */
  @Override
  public void clear(MemorySegment part) {
    part.fill((byte) 0);
  }

  @Override
  public void free() {
    FileChannel open = file;
    if (open != null) {
      @Nullable IOException refused = null;
      try {
        if (SparseRam.NATIVE) {
          undisturbed(() -> open.truncate(0)); // addresses may stay mapped for long: see the class
        }
        open.close();
      } catch (IOException e) {
        refused = e;
      }
      file = null; // now: after an error it can be tried again
      FILES.decrementAndGet();
      if (refused != null) {
        throw new UncheckedIOException(refused);
      }
    }
    if (inSharedMemory) {
      PROMISED.addAndGet(-length);
    }
    length = 0;
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
