package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A live bitmap whose markers report their pages themselves, each in its own dirty ring. Whoever
 * changes a bit from 0 to 1 has to report that page.
 *
 * <p>A page for which the ring has no room is reported here instead, with {@link #report}, and a
 * collector finds it with {@link #fetchReported}. Marker and collector go opposite ways:
 *
 * <pre>
 *   marker       word's bit   --&gt;  summary bit  --&gt;  flag
 *   collector    flag         --&gt;  summary      --&gt;  words
 * </pre>
 *
 * <p>A collector that finds the flag set therefore finds the word, and one that finds it clear is
 * done after a single load. No suspects are needed, as {@link LiveBitmap} needs them, because the
 * word is marked before its summary bit is set. Source: docs/design.md 3.5.
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

  @SuppressWarnings("UnusedVariable") // read only through REPORTED
  private volatile boolean reported; // since the last fetchReported

  // What a fetch has taken and not handed out yet; touched by the collector only.
  private final long[] left; // blocks, as in the summary
  private boolean unfinished; // a fetch that has taken the flag

  /**
   * Makes a bitmap in which all bits are clear.
   *
   * @param pageCount number of pages, 1 to {@link #MAX_PAGES}
   * @throws IllegalArgumentException if {@code pageCount} is outside that range
   */
  public ReportedBitmap(long pageCount) {
    super(pageCount);
    this.left = new long[summary.length];
  }

  /**
   * Marks pages of one word. The caller must report the pages that this call changed, in its ring
   * or with {@link #report}. If all of them are marked already, this costs one load, without a
   * fence or an atomic operation. Wait-free.
   *
   * <p>A collector sees what the caller wrote before this call once the caller has passed its next
   * quiescent state (docs/design.md 3.3).
   *
   * @param wordIndex index of the word
   * @param mask the pages to mark
   * @return those that this call changed from 0 to 1
   * @throws IndexOutOfBoundsException if there is no such word, or if {@code mask} has a page past
   *     the last one; nothing is changed
   */
  public long markWord(int wordIndex, long mask) {
    BitmapLayout.checkWord(wordIndex, words.length);
    if ((mask & ~BitmapLayout.mask(wordIndex, 0, pageCount)) != 0) {
      throw BitmapLayout.badPage(BitmapLayout.highestPage(wordIndex, mask), pageCount);
    }
    // B1, as in isMarked.
    long missing = mask & ~(long) WORDS.getOpaque(words, wordIndex);
    if (missing == 0) {
      return 0;
    }
    // B4, as in LiveBitmap: the guest's store, and the note that a report is under way (S10), come
    // before the bit.
    return missing & ~(long) WORDS.getAndBitwiseOrRelease(words, wordIndex, missing);
  }

  /**
   * Makes the next {@link #fetchReported} hand out a word that was marked with {@link #markWord},
   * together with its block. Any thread may call this, also in the marker's stead. Wait-free.
   *
   * @param wordIndex index of the word
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public void report(int wordIndex) {
    BitmapLayout.checkWord(wordIndex, words.length);
    int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
    // ORDER B13 volatile: the word's bit, then the summary bit, then the flag. Pairs with the
    // exchange of the flag in fetchReported and with that of the summary (B5), which come in the
    // opposite order. If weaker: the flag is taken while the summary bit or the word's bit cannot
    // be seen yet, and the page stays behind a clear flag.
    WORDS.getAndBitwiseOr(summary, block >>> WORD_SHIFT, 1L << block);
    reported = true;
  }

  /**
   * Hands out every word that was reported since the last call, and the other non-zero words of its
   * block. Each word comes with all its set bits; none is cleared. Every {@link #report} that has
   * returned is found.
   *
   * <p>One thread at a time may call this, beside any number of markers and reporters. If nothing
   * was reported, it costs one load. Otherwise it looks at the summary (one word per 32,768 pages)
   * and at the blocks that were reported.
   *
   * @param sink receives the words, ascending; whatever it throws passes through, and the next call
   *     hands out again what was not handed out
   */
  public void fetchReported(PageWordConsumer sink) {
    // B13. The look comes first because an exchange costs more than a load.
    if ((boolean) REPORTED.getOpaque(this) && (boolean) REPORTED.getAndSet(this, false)) {
      unfinished = true;
    }
    if (!unfinished) {
      return;
    }
    for (int s = 0; s < summary.length; s++) {
      // B5: a bit that is set after this look has a flag that is set later still.
      if ((long) WORDS.getOpaque(summary, s) != 0) {
        left[s] |= (long) WORDS.getAndSet(summary, s, 0L); // B5, as in LiveBitmap.fetch
      }
      for (; left[s] != 0; left[s] &= left[s] - 1) {
        handOutBlock((s << WORD_SHIFT) + Long.numberOfTrailingZeros(left[s]), sink);
      }
    }
    unfinished = false;
  }
}
