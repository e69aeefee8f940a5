package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A live bitmap whose marks are reported elsewhere: whoever changes a bit from 0 to 1 reports the
 * page itself, in a ring. What the marker cannot report there, it reports here with {@link
 * #report}, and a collector finds it with {@link #fetchReported}, which costs one load when there
 * is nothing. Source: docs/design.md 3.5.
 */
public final class ReportedBitmap extends ArmableBitmap {
  private static final VarHandle REPORTED;

  static {
    try {
      REPORTED =
          MethodHandles.lookup().findVarHandle(ReportedBitmap.class, "reported", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  @SuppressWarnings("UnusedVariable") // read through REPORTED only
  private volatile boolean reported; // something, since the last fetchReported

  /**
   * Makes a bitmap with all bits clear.
   *
   * @param pageCount pages, 1 to about 137 billion
   * @throws IllegalArgumentException if {@code pageCount} is outside that
   */
  public ReportedBitmap(long pageCount) {
    super(pageCount);
  }

  /**
   * Marks pages of one word, each unless it is marked already, and leaves it to the caller to
   * report those that it changed. Wait-free; no fence and no atomic for bits that are set.
   *
   * @param wordIndex word
   * @param mask pages to mark
   * @return those that this call changed from 0 to 1
   * @throws IndexOutOfBoundsException if there is no such word, or not all of those pages; nothing
   *     is changed
   */
  public long markWord(int wordIndex, long mask) {
    BitmapLayout.checkWord(wordIndex, words.length);
    if ((mask & ~BitmapLayout.mask(wordIndex, 0, pageCount)) != 0) {
      throw BitmapLayout.badPage(
          ((long) wordIndex << WORD_SHIFT) + 63 - Long.numberOfLeadingZeros(mask), pageCount);
    }
    // B1, as in isMarked.
    long missing = mask & ~(long) WORDS.getOpaque(words, wordIndex);
    if (missing == 0) {
      return 0;
    }
    // B4: the guest's store, and what says that a report is under way (S10), come before the bit.
    return missing & ~(long) WORDS.getAndBitwiseOrRelease(words, wordIndex, missing);
  }

  /**
   * Has the next {@link #fetchReported} hand out a word that was marked by {@link #markWord}, with
   * others near it. From any thread.
   *
   * @param wordIndex word
   * @throws IndexOutOfBoundsException if there is no such word
   */
  public void report(int wordIndex) {
    BitmapLayout.checkWord(wordIndex, words.length);
    int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
    // ORDER B13 volatile: the word's bit, the summary bit, the flag, in this order. Pairs with the
    // exchanges of the flag and of the summary (B5) in fetchReported and fetch, which come in the
    // opposite one. If weaker: the flag is taken, and the summary bit or the word's bit is not seen
    // yet and stays behind a clear flag.
    WORDS.getAndBitwiseOr(summary, block >>> WORD_SHIFT, 1L << block);
    reported = true;
  }

  /**
   * Hands out every word that was reported since the last call, with all its set bits, and others
   * near it; clears none of them. Every {@link #report} that has returned is found. One thread at a
   * time. Costs one load if nothing was reported, and otherwise the words of the summary (one per
   * 32,768 pages) and the blocks that were reported.
   *
   * @param sink gets the words, ascending; what it throws comes through, and what was not handed
   *     out yet is handed out by the next call
   */
  public void fetchReported(PageWordConsumer sink) {
    // B13, looked at first because an exchange costs more than a load.
    if (!(boolean) REPORTED.getOpaque(this) || !(boolean) REPORTED.getAndSet(this, false)) {
      return;
    }
    for (int s = 0; s < summary.length; s++) {
      if ((long) WORDS.getOpaque(summary, s) != 0) {
        handOut(s, sink);
      }
    }
  }

  private void handOut(int summaryIndex, PageWordConsumer sink) {
    // B5, as in LiveBitmap.fetch; there are no suspects, for a word is marked before its summary
    // bit
    // is set.
    long blocks = (long) WORDS.getAndSet(summary, summaryIndex, 0L);
    long left = blocks;
    try {
      for (; left != 0; left &= left - 1) {
        handOutBlock((summaryIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(left), sink);
      }
    } finally {
      if (left != 0) { // the sink has thrown: what it was not given is for the next call
        WORDS.getAndBitwiseOr(summary, summaryIndex, left);
        reported = true;
      }
    }
  }

  private void handOutBlock(int block, PageWordConsumer sink) {
    int from = block << WORDS_PER_BLOCK_SHIFT;
    int to = Math.min(from + WORDS_PER_BLOCK, words.length);
    for (int w = from; w < to; w++) {
      // B6, as in LiveBitmap.handOut.
      long bits = (long) WORDS.getAcquire(words, w);
      if (bits != 0) {
        sink.accept(w, bits);
      }
    }
  }
}
