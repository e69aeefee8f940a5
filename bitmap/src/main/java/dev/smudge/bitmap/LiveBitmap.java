package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

/**
 * A live bitmap for threads with quiescent states (vCPUs), which test the bit before they mark: a
 * marker that finds it set is done, with no fence and no atomic. A summary level, one bit per block
 * of 512 pages, lets a collector find what is new without looking at every word.
 *
 * <p><b>Why {@code fetch} finds every completed mark.</b> A marker that changes 0 to 1 makes sure
 * that the summary bit is set, <em>then</em> ORs the word. So a bit that is seen set had its
 * summary bit set before. The collector exchanges the summary word with 0 and then reads the words.
 * One interleaving escapes it:
 *
 * <pre>
 *   marker                        collector
 *   sees the summary bit set
 *                                 exchanges the summary, reads the word
 *   ORs the word
 * </pre>
 *
 * <p>Now the word has a bit and the summary has none, and other markers that find the bit set rely
 * on it. That first marker was in the middle of its mark while the collector fetched. So the
 * collector keeps the blocks of a fetch as <em>suspects</em>, and reads them again in every later
 * fetch, up to and including the first one that begins after all markers of that time have passed a
 * quiescent state ({@code quiesced}): by then that OR has been done. Whatever other markers are
 * doing half-way, a marker that relied on the set bit relied on an OR that is either behind a set
 * summary bit or in a suspect block. Source: docs/design.md 3.2.
 */
public final class LiveBitmap extends ArmableBitmap {
  private final long[] suspects; // collector only: blocks to read again

  /**
   * Makes a bitmap with all bits clear.
   *
   * @param pageCount pages, 1 to about 137 billion
   * @throws IllegalArgumentException if {@code pageCount} is outside that
   */
  public LiveBitmap(long pageCount) {
    super(pageCount);
    this.suspects = new long[summary.length];
  }

  /**
   * Marks pages, each unless it is marked already. Wait-free; no fence and no atomic for bits that
   * are set. What the caller stored before is visible to a collector only after the caller's next
   * quiescent state (docs/design.md 3.3).
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many bits this call changed from 0 to 1
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public long markRange(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long changed = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      // B1, as in isMarked.
      long missing = mask & ~(long) WORDS.getOpaque(words, wordIndex);
      if (missing != 0) {
        changed += Long.bitCount(markClearBits(wordIndex, missing));
      }
    }
    return changed;
  }

  /** Summary first, then the word: see the class comment. Returns the bits that changed. */
  private long markClearBits(int wordIndex, long bits) {
    int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
    int summaryIndex = block >>> WORD_SHIFT;
    long blockBit = 1L << block;
    // ORDER B2 opaque: a set summary bit need not be set again. Pairs with the exchange in fetch
    // and the suspects there. If weaker (plain): the load may be hoisted over many marks, and a
    // summary bit that fetch has since cleared be taken for set beyond the next quiescent state.
    if (((long) WORDS.getOpaque(summary, summaryIndex) & blockBit) == 0) {
      // ORDER B3 volatile: atomic, for 64 blocks share a word; B4 keeps it before the word's bit.
      // Pairs with the exchange in fetch (B5). If weaker (not atomic): another block's bit is
      // wiped.
      WORDS.getAndBitwiseOr(summary, summaryIndex, blockBit);
    }
    // ORDER B4 release: the guest's store and the summary bit come before the word's bit. Pairs
    // with the acquire of the word in fetch (B6), and through other markers' acknowledgements with
    // S2. If weaker: the word's bit is seen first, other markers rely on it, and fetch finds no
    // summary bit.
    long old = (long) WORDS.getAndBitwiseOrRelease(words, wordIndex, bits);
    return bits & ~old;
  }

  /**
   * Hands out every word in which a bit may have been set since the last fetch, with all its set
   * bits, those that an earlier fetch handed out included; clears none of them. Every mark that was
   * complete, and whose marker has passed a quiescent state since, is found.
   *
   * <p>One thread at a time. Cost: the words of the summary (one per 32,768 pages), and the blocks
   * in which something was marked.
   *
   * @param quiesced true if every marker that ran during the previous fetch has passed a quiescent
   *     state since the end of it; false costs time, never a page
   * @param sink gets the words, ascending; what it throws comes through, and what was not handed
   *     out yet is handed out by the next fetch
   */
  public void fetch(boolean quiesced, PageWordConsumer sink) {
    for (int s = 0; s < summary.length; s++) {
      long suspect = suspects[s];
      // B5, looked at first because an exchange costs more than a load; a bit set after it is the
      // next fetch's.
      long fresh = (long) WORDS.getOpaque(summary, s);
      if ((fresh | suspect) == 0) {
        continue;
      }
      if (fresh != 0) {
        // ORDER B5 volatile: taken in one step, and before the words are read. Pairs with B3 and
        // B4: whoever saw the bit set before this is a suspect, whoever sets it after is found next
        // time. If weaker (a load and a store): a bit set between the two is wiped, and its block
        // is no suspect. The order alone is not needed: a mark that races with it is a suspect's.
        fresh = (long) WORDS.getAndSet(summary, s, 0L);
      }
      // Suspects are kept until the words were handed out, so that nothing is lost if the sink
      // throws.
      suspects[s] = suspect | fresh;
      handOut(s, fresh | suspect, sink);
      suspects[s] = quiesced ? fresh : suspect | fresh;
    }
  }

  private void handOut(int summaryIndex, long blocks, PageWordConsumer sink) {
    for (long rest = blocks; rest != 0; rest &= rest - 1) {
      int block = (summaryIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(rest);
      int from = block << WORDS_PER_BLOCK_SHIFT;
      int to = Math.min(from + WORDS_PER_BLOCK, words.length);
      for (int w = from; w < to; w++) {
        // ORDER B6 acquire: pairs with B4. If weaker: nothing on hardware that the handshake does
        // not mend; it keeps the words' loads behind B5 and before the sink's work.
        long bits = (long) WORDS.getAcquire(words, w);
        if (bits != 0) {
          sink.accept(w, bits);
        }
      }
    }
  }
}
