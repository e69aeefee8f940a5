package dev.smudge.core.internal.ram;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Where the memory of a {@link SparseRam} comes from. Under its lock. */
interface RamSource {
  /**
   * Returns where memory begins, from an offset on, that may be other than zero.
   *
   * @param mapped a part of what {@link #map} has returned
   * @return an offset in it, or its size
   */
  default long nextTouched(MemorySegment mapped, long from) {
    return from;
  }

  /**
   * Maps at least so many bytes; what was there before shows what it did, the rest is zero.
   *
   * @param arena ends the use of the mapping's segment
   * @throws java.io.UncheckedIOException if the system gives no memory; nothing is changed
   */
  RamMapping map(long end, Arena arena);

  /** Makes a part of a mapping zero that was used before, and is by nobody now. */
  void clear(MemorySegment part);

  /** Nobody uses it: its memory is free. It can be mapped anew: a commit that failed, say. */
  void free();
}
