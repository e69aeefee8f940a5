package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Objects;

/**
 * A live bitmap, with one bit per page. A page is armed while its bit is clear: the next write to
 * it sets the bit and is reported. While the bit is set, further writes are not reported.
 *
 * <p>The two kinds differ in how a collector finds the marks: a {@link LiveBitmap} keeps a summary
 * of what is new, and a {@link ReportedBitmap} leaves it to the marker to report its pages.
 *
 * <p>Pages are numbered from 0. Any thread may call any method at any time unless the method says
 * otherwise. No method blocks, and none allocates. Source: docs/design.md 3.2.
 */
public abstract sealed class ArmableBitmap permits LiveBitmap, ReportedBitmap {
  /** The most pages that a bitmap or a page set can have: about 137 billion. */
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
   * Returns whether a page's bit is set: the test with which every mark begins. Wait-free, without
   * a fence.
   *
   * <p>A bit that is seen set may have been cleared a moment ago. A collector that clears bits must
   * therefore wait until the caller has passed a quiescent state before it reads the pages
   * (docs/design.md 3.3).
   *
   * @param pageIndex the page, 0 to {@code pageCount - 1}
   * @return true if a mark would change nothing
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public final boolean isMarked(long pageIndex) {
    if (Long.compareUnsigned(pageIndex, pageCount) >= 0) { // one compare, where checkIndex has two
      Objects.checkIndex(pageIndex, pageCount);
    }
    // ORDER B1 opaque: a set bit ends the mark, however old the value is that was read. Pairs with
    // the after-sync barrier (S1, S2), which makes a stale 'set' harmless. If weaker (plain): the
    // compiler may hoist the load out of a guest's loop, which then never sees the page armed.
    long word = (long) WORDS.getOpaque(words, (int) (pageIndex >>> WORD_SHIFT));
    return (word >>> pageIndex & 1) != 0;
  }

  /**
   * Clears bits of one word in one atomic step, which arms those pages.
   *
   * <p>Markers see the clear at the latest once they have acknowledged a handshake that was
   * requested after this call (docs/design.md 3.3).
   *
   * @param wordIndex index of the word
   * @param mask the bits to clear
   * @return those of them that were set
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public final long clearWord(int wordIndex, long mask) {
    BitmapLayout.checkWord(wordIndex, words.length);
    // ORDER B11 volatile: the clear comes before the request of the handshake that follows it (S1).
    // Pairs with B1 through S1 and S2. If weaker: a vCPU that has acknowledged still sees 'set'; if
    // not atomic, a mark that comes between the load and the store is lost.
    return (long) WORDS.getAndBitwiseAnd(words, wordIndex, ~mask) & mask;
  }

  /**
   * Clears the bits of a range, which arms those pages. Each word is cleared atomically, as by
   * {@link #clearWord}; the range as a whole is not.
   *
   * @param firstPage first page of the range
   * @param count number of pages, 0 or more
   * @return how many of the bits were set
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public final long clear(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long cleared = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      // B1, as in isMarked: an atomic operation costs more than a load.
      if (((long) WORDS.getOpaque(words, wordIndex) & mask) != 0) {
        cleared += Long.bitCount(clearWord(wordIndex, mask));
      }
    }
    return cleared;
  }

  /**
   * Sets every bit without reporting a page, so that no page is armed. This is how tracking is
   * turned off, and how it starts with every page counted as dirty already (as with KVM's
   * INITIALLY_SET flag).
   */
  public final void disarm() {
    for (int w = 0; w < words.length; w++) {
      // ORDER B12 opaque, then a full fence: a set bit only stops reports. Pairs with B1. If weaker
      // (plain): a marker that looks meanwhile may see half of the 64-bit store.
      WORDS.setOpaque(words, w, BitmapLayout.mask(w, 0, pageCount));
    }
    VarHandle.fullFence();
  }

  /** Gives the words of a block in which a page is marked to the sink. */
  final void handOutBlock(int block, PageWordConsumer sink) {
    int from = block << WORDS_PER_BLOCK_SHIFT;
    int to = Math.min(from + WORDS_PER_BLOCK, words.length);
    for (int w = from; w < to; w++) {
      // ORDER B6 acquire: the words are read after B5 and before the sink does its work. Pairs
      // with B4. If weaker: nothing is lost on hardware, because the handshake (S2) and the
      // suspects cover what the hardware may reorder.
      long bits = (long) WORDS.getAcquire(words, w);
      if (bits != 0) {
        sink.accept(w, bits);
      }
    }
  }

  @Override
  public String toString() {
    long marked = 0;
    for (int w = 0; w < words.length; w++) {
      marked += Long.bitCount((long) WORDS.getOpaque(words, w)); // B1, as in isMarked
    }
    return getClass().getSimpleName() + "[" + marked + " of " + pageCount + " pages]";
  }
}
