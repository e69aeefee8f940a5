package dev.smudge.bitmap;

/** Receives runs of adjacent pages, in ascending order. */
@FunctionalInterface
public interface PageRunConsumer {
  /**
   * Receives one run.
   *
   * @param firstPage index of the first page of the run
   * @param pageCount number of pages in the run, at least 1
   */
  void accept(long firstPage, long pageCount);
}
