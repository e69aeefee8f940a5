package dev.smudge.core;

import java.lang.foreign.MemorySegment;

/** Segments of callers, which accesses copy from or to. */
final class Segments {
  private Segments() {}

  /**
   * Returns the size of a segment. Refuses one that was closed: the exception of the copy would not
   * say whether it or the guest's RAM was.
   *
   * @param segment the segment
   * @param role what it is in the access, for the message
   * @throws IllegalStateException if it was closed
   */
  static long size(MemorySegment segment, String role) {
    if (!segment.scope().isAlive()) {
      throw new IllegalStateException(
          "the " + role + " of the access was closed by its owner: " + segment);
    }
    return segment.byteSize();
  }
}
