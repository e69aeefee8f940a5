package dev.smudge.bitmap;

/** The words of a {@link PageSet}, in one of two forms. Arguments have been checked. */
sealed interface PageWords permits WordList, WordChunks {
  /** The bits of a word. */
  long word(int wordIndex);

  /** Removes bits of a word, all of which are set. */
  void remove(int wordIndex, long bits);

  /** Removes everything and keeps the memory for reuse. Does not allocate. */
  void clear();

  /** The highest page that is not above {@code pageIndex}, or -1. */
  long floor(long pageIndex);

  /** The first page of the set in {@code [page, end)}, or {@code end}. */
  long nextSet(long page, long end);

  /** The first page that is not in the set in {@code [page, end)}, or {@code end}. */
  long nextClear(long page, long end);

  /** Hands out the non-zero words, ascending; see {@link PageSet#forEachWord}. */
  void forEachWord(PageWordConsumer sink);

  /** Hands out the pages of {@code [page, end)} as runs; see {@link PageSet#forEachRun}. */
  default void forEachRun(long page, long end, PageRunConsumer consumer) {
    long first = nextSet(page, end);
    while (first < end) {
      long past = nextClear(first + 1, end);
      consumer.accept(first, past - first);
      first = nextSet(past, end);
    }
  }
}
