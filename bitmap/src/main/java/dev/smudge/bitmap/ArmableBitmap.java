package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.Objects;

/**
 * A live bitmap: one bit per page. While a page's bit is set, writes to it are not reported again;
 * clearing the bit arms the page, and the next write is reported. How marks are found by a
 * collector is what its two kinds differ in.
 *
 * <p>Pages are numbered from 0. All methods may be called from any thread at any time unless they
 * say otherwise. Nothing blocks; nothing allocates after construction. Source: docs/design.md 3.2.
 */
public abstract sealed class ArmableBitmap permits LiveBitmap, ReportedBitmap {
  /** The most pages of a bitmap or a page set: about 137 billion. */
  public static final long MAX_PAGES = BitmapLayout.MAX_PAGES;

  static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

  final long pageCount;
  final long[] words;
  final long[] summary; // one bit per block of 512 pages

  ArmableBitmap(long pageCount) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.words = new long[BitmapLayout.words(pageCount)];
    this.summary = new long[BitmapLayout.summaryWords(words.length)];
  }

  /** {@return the number of pages} */
  public final long pageCount() {
    return pageCount;
  }

  /** {@return the number of 64-page words} */
  public final int wordCount() {
    return words.length;
  }

  /**
   * Returns whether a page was marked when last looked at: the test with which every mark begins.
   * Wait-free; no fence. A caller that gets true relies on a mark that others see only after the
   * caller's next quiescent state (docs/design.md 3.3).
   *
   * @param pageIndex page, 0 to {@code pageCount - 1}
   * @return true if a mark would change nothing
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public final boolean isMarked(long pageIndex) {
    Objects.checkIndex(pageIndex, pageCount);
    // ORDER B1 opaque: a set bit ends the mark, whatever the age of what is read. Pairs with the
    // after-sync barrier (S1, S2), which makes a stale 'set' harmless. If weaker (plain): the
    // compiler may hoist the load out of a guest's loop and never see the page armed.
    long word = (long) WORDS.getOpaque(words, (int) (pageIndex >>> WORD_SHIFT));
    return (word >>> pageIndex & 1) != 0;
  }

  /**
   * Clears bits of one word (arms those pages).
   *
   * @param wordIndex word
   * @param mask bits to clear
   * @return those of them that were set
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public final long clearWord(int wordIndex, long mask) {
    BitmapLayout.checkWord(wordIndex, words.length);
    // ORDER B11 volatile: the clear comes before the request of the handshake that follows it (S1).
    // Pairs with B1 through S1 and S2. If weaker: a vCPU that has acknowledged still sees 'set'.
    return (long) WORDS.getAndBitwiseAnd(words, wordIndex, ~mask) & mask;
  }

  /**
   * Clears the bits of a range, which arms those pages. Word by word, each atomically.
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many of them were set
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public final long clear(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long taken = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      if (((long) WORDS.getOpaque(words, wordIndex) & mask) != 0) {
        taken += Long.bitCount(clearWord(wordIndex, mask));
      }
    }
    return taken;
  }

  /**
   * Sets every bit without reporting any: no page is armed (tracking off, or KVM's INITIALLY_SET).
   */
  public final void disarm() {
    for (int w = 0; w < words.length; w++) {
      // ORDER B12 opaque, then a full fence: a set bit only stops reports. Pairs with B1. If weaker
      // (plain): the fill may be torn for a marker that looks meanwhile.
      WORDS.setOpaque(words, w, BitmapLayout.mask(w, 0, pageCount));
    }
    VarHandle.fullFence();
  }

  @Override
  public String toString() {
    return getClass().getSimpleName()
        + "[pages="
        + pageCount
        + ", set="
        + Arrays.stream(words).map(Long::bitCount).sum()
        + "]";
  }
}
