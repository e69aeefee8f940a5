package dev.smudge.core;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Receives runs of adjacent dirty pages with their content. */
@FunctionalInterface
public interface GuestRunConsumer {
  /**
   * Called once a run.
   *
   * @param slot slot
   * @param firstPage index of the run's first page in the slot
   * @param pageCount pages in the run, at least 1
   * @param content the pages, read-only: RAM itself, which the guest may go on writing
   * @throws IOException if they cannot be written to where they are to go; the batch hands it on
   */
  void accept(GuestSlot slot, long firstPage, long pageCount, MemorySegment content)
      throws IOException;
}
