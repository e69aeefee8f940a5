package dev.smudge.sync;

/** Receives runs of adjacent pages, slot by slot, ascending. */
@FunctionalInterface
public interface SlotRunConsumer {
  /**
   * Called once a run.
   *
   * @param slotId slot
   * @param firstPage index of the run's first page in the slot
   * @param pageCount pages in the run, at least 1
   */
  void accept(int slotId, long firstPage, long pageCount);
}
