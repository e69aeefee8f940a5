package dev.smudge.bitmap;

/**
 * How pages, words, blocks and summary words relate, in every bitmap and page set of this module.
 *
 * <pre>
 *   page p    is bit p &amp; 63 of word p &gt;&gt; 6             64 pages per word
 *   word w    is word w &amp; 7 of block w &gt;&gt; 3           8 words per block (a cache line, 512 pages)
 *   block b   is bit b &amp; 63 of summary word b &gt;&gt; 6     64 blocks per summary word
 * </pre>
 *
 * <p>The 512 words (32,768 pages) that share a summary word are a chunk of a page set.
 */
final class BitmapLayout {
  static final int WORD_SHIFT = 6;
  static final int WORDS_PER_BLOCK_SHIFT = 3;
  static final int WORDS_PER_BLOCK = 1 << WORDS_PER_BLOCK_SHIFT;
  static final int WORDS_PER_CHUNK_SHIFT = WORDS_PER_BLOCK_SHIFT + WORD_SHIFT;
  static final int WORDS_PER_CHUNK = 1 << WORDS_PER_CHUNK_SHIFT;

  /** From a page to its block. */
  static final int BLOCK_SHIFT = WORDS_PER_BLOCK_SHIFT + WORD_SHIFT;

  /** From a page to its chunk. */
  static final int CHUNK_SHIFT = WORDS_PER_CHUNK_SHIFT + WORD_SHIFT;

  /** The number of pages for which one {@code long[]} has a bit each. */
  static final long MAX_PAGES = (long) (Integer.MAX_VALUE - WORDS_PER_CHUNK) << WORD_SHIFT;

  private BitmapLayout() {}

  static int words(long pageCount) {
    return (int) ((pageCount + 63) >>> WORD_SHIFT);
  }

  static int summaryWords(int words) {
    return (words + WORDS_PER_CHUNK - 1) >>> WORDS_PER_CHUNK_SHIFT;
  }

  static int wordOf(long pageIndex) {
    return (int) (pageIndex >>> WORD_SHIFT);
  }

  /** The lowest page of a word's bits, of which at least one is set. */
  static long lowestPage(int wordIndex, long bits) {
    return ((long) wordIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(bits);
  }

  /** The highest page of a word's bits, of which at least one is set. */
  static long highestPage(int wordIndex, long bits) {
    return ((long) wordIndex << WORD_SHIFT) + 63 - Long.numberOfLeadingZeros(bits);
  }

  /** At most {@code limit} of the bits, lowest first. */
  static long lowest(long bits, long limit) {
    long some = bits;
    while (Long.bitCount(some) > limit) {
      some &= ~Long.highestOneBit(some);
    }
    return some;
  }

  /** The bits of word {@code wordIndex} that are pages of {@code [first, end)}. */
  static long mask(int wordIndex, long first, long end) {
    long base = (long) wordIndex << WORD_SHIFT;
    long mask = -1L;
    if (first > base) {
      mask &= -1L << (first - base);
    }
    if (end - base < 64) {
      mask &= -1L >>> (64 - (end - base));
    }
    return mask;
  }

  static long checkPageCount(long pageCount) {
    if (pageCount < 1 || pageCount > MAX_PAGES) {
      throw new IllegalArgumentException(
          "pageCount " + pageCount + " is outside 1 to " + MAX_PAGES);
    }
    return pageCount;
  }

  /** Refuses to work with a set of another page count. */
  static void checkSamePageCount(long pageCount, PageSet other) {
    if (other.pageCount() != pageCount) {
      throw new IllegalArgumentException(
          "the other set has " + other.pageCount() + " pages, this one " + pageCount);
    }
  }

  static void checkPage(long pageIndex, long pageCount) {
    if (pageIndex < 0 || pageIndex >= pageCount) {
      throw badPage(pageIndex, pageCount);
    }
  }

  static IndexOutOfBoundsException badPage(long pageIndex, long pageCount) {
    return new IndexOutOfBoundsException(
        "page " + pageIndex + " is outside 0 to " + (pageCount - 1));
  }

  /** Compares without adding, because a sum of two large values wraps (Linux 98938aa8edd6). */
  static void checkRange(long firstPage, long count, long pageCount) {
    if (firstPage < 0 || firstPage > pageCount || count < 0 || count > pageCount - firstPage) {
      throw new IndexOutOfBoundsException(
          "the range of "
              + count
              + " pages from page "
              + firstPage
              + " is not inside 0 to "
              + (pageCount - 1));
    }
  }

  static void checkWord(int wordIndex, int words) {
    if (wordIndex < 0 || wordIndex >= words) {
      throw new IndexOutOfBoundsException("word " + wordIndex + " is outside 0 to " + (words - 1));
    }
  }
}
