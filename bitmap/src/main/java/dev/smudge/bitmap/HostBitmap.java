package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A bitmap for threads without quiescent states: devices, DMA, loaders. Every marker does the
 * atomic OR itself, so it depends on no other marker, and a collector takes the bits out as it
 * reads them.
 *
 * <p>Pages are numbered from 0. {@link #markAlways} may be called from any thread at any time,
 * {@link #drain} by one thread at a time. Nothing blocks; nothing allocates after construction.
 * Source: docs/design.md 3.2.
 */
public final class HostBitmap {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

  private final long pageCount;
  private final long[] words;
  private final long[] summary; // one bit per block of 512 pages

  /**
   * Makes a bitmap with all bits clear.
   *
   * @param pageCount pages, 1 to about 137 billion
   * @throws IllegalArgumentException if {@code pageCount} is outside that
   */
  public HostBitmap(long pageCount) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.words = new long[BitmapLayout.words(pageCount)];
    this.summary = new long[BitmapLayout.summaryWords(words.length)];
  }

  /**
   * Marks pages with an atomic OR in every case. For threads without quiescent states: after return
   * the pages are found by the next {@link #drain}, whatever other threads do half-way.
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many bits this call changed from 0 to 1
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public long markAlways(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long changed = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      // ORDER B7 volatile: the device's store, then the bit, then the summary. Pairs with the
      // exchanges B9 and B10 in drain. If weaker: the load of the summary passes the OR, sees a bit
      // that drain is about to take, and this mark stays behind a clear summary.
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      changed += Long.bitCount(mask & ~(long) WORDS.getAndBitwiseOr(words, wordIndex, mask));
      int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
      int summaryIndex = block >>> WORD_SHIFT;
      long blockBit = 1L << block;
      // ORDER B8 volatile: after B7. Pairs with B9. If weaker: as B7.
      if (((long) WORDS.getVolatile(summary, summaryIndex) & blockBit) == 0) {
        WORDS.getAndBitwiseOr(summary, summaryIndex, blockBit);
      }
    }
    return changed;
  }

  /**
   * Takes every set bit out of the bitmap and hands it out. Every {@link #markAlways} that returned
   * before is found. One thread at a time. Costs the words of the summary (one per 32,768 pages)
   * and the blocks in which something was marked.
   *
   * @param sink gets the words, ascending; what it throws comes through, and the word for which it
   *     threw, and those after it, are handed out by the next call
   */
  public void drain(PageWordConsumer sink) {
    for (int s = 0; s < summary.length; s++) {
      // B9.
      if ((long) WORDS.getVolatile(summary, s) != 0) {
        drain(s, sink);
      }
    }
  }

  private void drain(int summaryIndex, PageWordConsumer sink) {
    // ORDER B9 volatile: the summary before the words. Pairs with B8. If weaker: as B7.
    long left = (long) WORDS.getAndSet(summary, summaryIndex, 0L);
    try {
      for (; left != 0; left &= left - 1) {
        drainBlock((summaryIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(left), sink);
      }
    } finally {
      if (left != 0) { // the sink has thrown: what it was not given is for the next call
        WORDS.getAndBitwiseOr(summary, summaryIndex, left);
      }
    }
  }

  private void drainBlock(int block, PageWordConsumer sink) {
    int from = block << WORDS_PER_BLOCK_SHIFT;
    int to = Math.min(from + WORDS_PER_BLOCK, words.length);
    for (int w = from; w < to; w++) {
      // ORDER B10 volatile, the look before the exchange too: after B9. Pairs with B7; the device's
      // bytes are visible to whoever reads pages after this. If weaker: the look passes the
      // exchange
      // of the summary, sees the word before a mark whose marker sees the summary bit still set,
      // and
      // that mark stays behind a clear summary.
      long bits =
          (long) WORDS.getVolatile(words, w) == 0 ? 0 : (long) WORDS.getAndSet(words, w, 0L);
      if (bits == 0) {
        continue;
      }
      boolean taken = false;
      try {
        sink.accept(w, bits);
        taken = true;
      } finally {
        if (!taken) { // the pages are in no other place yet
          WORDS.getAndBitwiseOr(words, w, bits);
        }
      }
    }
  }
}
