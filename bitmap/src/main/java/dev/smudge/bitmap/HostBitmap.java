package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * A bitmap for threads that have no quiescent states: devices, DMA, loaders. Every marker ORs the
 * word itself and relies on no other marker, and a collector takes the bits out as it reads them.
 * Marker and collector go opposite ways, so that one of the two sees the other:
 *
 * <pre>
 *   marker       ORs the word             --&gt;  looks at the summary bit, and sets it if it is clear
 *   collector    takes the summary word   --&gt;  takes the words
 * </pre>
 *
 * <p>What a drain has taken out of the shared words stands in fields of the collector's until the
 * sink has it. So an error at any point of a drain leaves every mark in one of the two, without a
 * handler that would have to put something back, and the next drain goes on from there.
 *
 * <p>Pages are numbered from 0. Any thread may call {@link #markAlways} at any time, and one thread
 * at a time may call {@link #drain}. Neither blocks nor allocates. Source: docs/design.md 3.2.
 */
public final class HostBitmap {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

  private final long pageCount;
  private final long[] words;
  private final long[] summary; // one bit per block of 512 pages

  private volatile boolean cutShort; // a mark, by an error

  // Taken out, and not handed out yet; touched by the collector only.
  private final long[] left; // blocks, as in the summary
  private int heldWord;
  private long heldBits;

  /**
   * Makes a bitmap in which all bits are clear.
   *
   * @param pageCount number of pages, 1 to {@link ArmableBitmap#MAX_PAGES}
   * @throws IllegalArgumentException if {@code pageCount} is outside that range
   */
  public HostBitmap(long pageCount) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.words = new long[BitmapLayout.words(pageCount)];
    this.summary = new long[BitmapLayout.summaryWords(words.length)];
    this.left = new long[summary.length];
  }

  /**
   * Marks the pages of a range, with one atomic OR per word, whether they are marked already or
   * not. Wait-free.
   *
   * <p>The first {@link #drain} that begins after this call has returned hands out the pages, if no
   * earlier one did, and whoever reads them after that drain sees what the caller wrote before this
   * call.
   *
   * <p>If an error comes in the middle (a {@link StackOverflowError}, or the {@link InternalError}
   * of a store before this call that found no memory), all pages are marked once more before it is
   * thrown.
   *
   * @param firstPage first page of the range
   * @param count number of pages, 0 or more
   * @return how many bits this call changed from 0 to 1
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public long markAlways(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    try {
      return count == 1
          ? Long.bitCount(markAlways(BitmapLayout.wordOf(firstPage), 1L << firstPage))
          : markRange(firstPage, count);
    } catch (Error e) {
      // ORDER H2 volatile: a word may be marked, and its summary bit not set. Pairs with the read
      // in drain, which then looks at every word. If weaker: that mark stays behind a clear
      // summary.
      cutShort = true;
      markRange(firstPage, count);
      throw e;
    }
  }

  private long markRange(long firstPage, long count) {
    long changed = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      changed += Long.bitCount(markAlways(wordIndex, mask));
    }
    return changed;
  }

  /** Marks pages of one word and returns the bits that changed. */
  private long markAlways(int wordIndex, long bits) {
    // ORDER B7 volatile: the device's store, then the word's bit, then the look at the summary.
    // Pairs with the exchanges B9 and B10 in drain. If weaker: the look passes the OR and sees a
    // summary bit that drain is about to take, and this mark stays behind a clear summary.
    long changed = bits & ~(long) WORDS.getAndBitwiseOr(words, wordIndex, bits);
    int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
    int summaryIndex = block >>> WORD_SHIFT;
    long blockBit = 1L << block;
    // ORDER B8 volatile: comes after B7. Pairs with B9. If weaker: as for B7.
    if (((long) WORDS.getVolatile(summary, summaryIndex) & blockBit) == 0) {
      WORDS.getAndBitwiseOr(summary, summaryIndex, blockBit);
    }
    return changed;
  }

  /**
   * Takes every set bit out of the bitmap and hands it out. Every {@link #markAlways} that returned
   * before this call is found.
   *
   * <p>One thread at a time may call this, beside any number of markers. It looks at the summary
   * (one word per 32,768 pages) and at the blocks in which something was marked.
   *
   * @param sink receives the words, ascending; whatever it throws passes through, and the next call
   *     hands out the word for which it threw first, and then those after it
   */
  public void drain(PageWordConsumer sink) {
    handOutHeld(sink); // of a call that was cut short
    if (cutShort) { // H2
      cutShort = false;
      Arrays.fill(left, -1L);
    }
    for (int s = 0; s < summary.length; s++) {
      // B9. This look comes first because an exchange costs more than a load.
      if ((long) WORDS.getVolatile(summary, s) != 0) {
        // ORDER B9 volatile: the summary is taken before the words. Pairs with B8. If weaker: as
        // for B7.
        left[s] |= (long) WORDS.getAndSet(summary, s, 0L);
      }
      for (; left[s] != 0; left[s] &= left[s] - 1) {
        drainBlock((s << WORD_SHIFT) + Long.numberOfTrailingZeros(left[s]), sink);
      }
    }
  }

  private void drainBlock(int block, PageWordConsumer sink) {
    int from = block << WORDS_PER_BLOCK_SHIFT;
    int to = Math.min(from + WORDS_PER_BLOCK, words.length); // less than from, past the end
    for (int w = from; w < to; w++) {
      // ORDER B10 volatile, both the look and the exchange: they come after B9. Pairs with B7;
      // whoever reads the pages afterwards sees the device's bytes. If weaker: the look passes the
      // exchange of the summary and sees the word before a mark whose marker still sees the summary
      // bit set, and that mark stays behind a clear summary.
      if ((long) WORDS.getVolatile(words, w) != 0) {
        heldWord = w;
        heldBits = (long) WORDS.getAndSet(words, w, 0L);
        handOutHeld(sink);
      }
    }
  }

  private void handOutHeld(PageWordConsumer sink) {
    if (heldBits != 0) {
      sink.accept(heldWord, heldBits);
      heldBits = 0;
    }
  }
}
