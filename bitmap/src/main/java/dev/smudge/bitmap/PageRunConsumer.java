package dev.smudge.bitmap;

/** Receives runs of adjacent pages, in ascending order. */
@FunctionalInterface
public interface PageRunConsumer {
  /**
   * Called once a run.
   *
   * @param firstPage index of the first page of the run
   * @param pageCount pages in the run, at least 1
   */
  void accept(long firstPage, long pageCount);
}
