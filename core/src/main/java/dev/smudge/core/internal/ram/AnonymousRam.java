package dev.smudge.core.internal.ram;

import dev.smudge.linux.AnonymousMemory;
import dev.smudge.linux.ErrnoException;
import dev.smudge.linux.Libc;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * RAM where native access is granted: private memory of the process, with no file behind it. It is
 * mapped once, with more addresses than it needs: it grows into those, since memory that vCPUs
 * reach by address cannot move. Addresses cost nothing, and merge with those of their neighbours.
 *
 * <p>When the RAM is free, its memory is, too, and an access by address is an {@code
 * InternalError}.
 */
final class AnonymousRam implements RamSource {
  /** Addresses for RAM that may grow: so many at least. */
  private static final long LEAST = 1L << 30;

  /** And so many times its size, up to the size from where addresses would become scarce. */
  private static final int TIMES = 4;

  private static final long SCARCE = 1L << 42;
  private static final long PAGE = Libc.pageSize();

  private @Nullable RamMapping mapping;

  @Override
  public RamMapping map(long end, Arena arena) {
    RamMapping before = mapping;
    if (before != null && !before.isOpen()) {
      free(); // nobody got it: something was thrown before it was kept
    } else if (before != null && before.segment().byteSize() >= end) {
      return before; // the same
    } else if (before != null) {
      throw new UncheckedIOException(
          new IOException(
              "guest RAM that was made with "
                  + before.segment().byteSize()
                  + " bytes of addresses cannot grow to "
                  + end
                  + " in place; use replaceRam with a MemorySegment of that size, or make it larger"
                  + " from the start: memory that is not touched costs nothing"));
    }
    boolean stays = SparseRam.NATIVE;
    MemorySegment window = mapWindow(end, stays ? Arena.ofAuto() : arena);
    RamMapping made = new RamMapping(arena, window, stays);
    mapping = made;
    return made;
  }

  private static MemorySegment mapWindow(long end, Arena lifetime) {
    try {
      return AnonymousMemory.map(window(end), lifetime);
    } catch (ErrnoException e) { // few addresses, or a kernel that promises nothing
      System.gc(); // RAM that nobody can reach any more has addresses still
      try {
        return AnonymousMemory.map(roundUp(end), lifetime);
      } catch (ErrnoException again) {
        again.addSuppressed(e);
        throw new UncheckedIOException(
            "cannot map " + end + " bytes of guest RAM; pass a MemorySegment of your own instead",
            new IOException(again));
      }
    }
  }

  private static long window(long end) {
    long many = end > SCARCE ? end : Math.max(LEAST, end * TIMES);
    return roundUp(many);
  }

  private static long roundUp(long size) {
    return (size + PAGE - 1) & -PAGE;
  }

  /** Gives whole pages back, and zeroes what is left at both ends. */
  @Override
  public void clear(MemorySegment part) {
    long first = roundUp(part.address()) - part.address();
    long end = (part.address() + part.byteSize() & -PAGE) - part.address();
    if (first < end && AnonymousMemory.discard(part.asSlice(first, end - first))) {
      part.asSlice(0, first).fill((byte) 0);
      part.asSlice(end).fill((byte) 0);
    } else {
      part.fill((byte) 0);
    }
  }

  @Override
  public long nextTouched(MemorySegment part, long from) {
    return AnonymousMemory.nextTouched(part, from);
  }

  @Override
  public void free() {
    RamMapping all = mapping;
    if (all != null) {
      all.withdraw();
      mapping = null; // last: it can be tried again
    }
  }
}
