package dev.smudge.sync;

/** Receives runs of adjacent pages, slot by slot, ascending. */
@FunctionalInterface
public interface SlotRunConsumer {
  /**
   * Called once a run.
   *
   * @param slot slot: that of the time of the take, though it may have been removed since
   * @param firstPage index of the run's first page in the slot
   * @param pageCount pages in the run, at least 1
   */
  void accept(LogSlot slot, long firstPage, long pageCount);
}
