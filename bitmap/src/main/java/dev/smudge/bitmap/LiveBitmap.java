package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

/**
 * A live bitmap for threads that have quiescent states (vCPUs). They test the bit before they mark:
 * a marker that finds the bit set is done, without a fence or an atomic operation. A summary, one
 * bit per block of 512 pages, lets a collector find what is new without looking at every word.
 *
 * <p><b>Why a fetch finds every completed mark.</b> A marker that has to set a bit first makes sure
 * that the block's summary bit is set, and then ORs the word. A bit that is seen set therefore had
 * its summary bit set before it. The collector takes a summary word by exchanging it with 0, and
 * then reads the words of the blocks that it found. This interleaving would escape it:
 *
 * <pre>
 *   marker                           collector
 *   sees the summary bit set
 *                                    exchanges the summary word
 *                                    reads the word: the bit is clear
 *   ORs the word
 * </pre>
 *
 * <p>Now the word has a bit and the summary has none, and other markers find the bit set and rely
 * on it. This can only happen while the first marker is in the middle of its mark. The collector
 * therefore keeps the blocks of a fetch as <em>suspects</em> and reads them again in every later
 * fetch, up to and including the first one that begins after all markers of that time have passed a
 * quiescent state ({@code quiesced}). By then the OR has been done. So whatever other markers are
 * doing halfway, a bit that somebody relies on is either behind a set summary bit or in a suspect
 * block. Source: docs/design.md 3.2.
 */
public final class LiveBitmap extends ArmableBitmap {
  // Touched by the collector only.
  private final long[] suspects; // blocks to read again
  private final long[] moving = new long[WORDS_PER_BLOCK]; // the block that is being moved

  /**
   * Makes a bitmap in which all bits are clear.
   *
   * @param pageCount number of pages, 1 to {@link #MAX_PAGES}
   * @throws IllegalArgumentException if {@code pageCount} is outside that range
   */
  public LiveBitmap(long pageCount) {
    super(pageCount);
    this.suspects = new long[summary.length];
  }

  /**
   * Marks the pages of a range. Pages that are marked already cost one load per word, without a
   * fence or an atomic operation. Wait-free.
   *
   * <p>A collector sees what the caller wrote before this call once the caller has passed its next
   * quiescent state (docs/design.md 3.3).
   *
   * @param firstPage first page of the range
   * @param count number of pages, 0 or more
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

  /** Sets the summary bit, then the word's bits; returns those that changed. */
  private long markClearBits(int wordIndex, long bits) {
    int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
    int summaryIndex = block >>> WORD_SHIFT;
    long blockBit = 1L << block;
    // ORDER B2 opaque: a summary bit that is set need not be set again. Pairs with the exchange in
    // fetch (B5) and with the suspects. If weaker (plain): the load may be hoisted over many marks,
    // and a summary bit that fetch has cleared since counts as set beyond the next quiescent state.
    if (((long) WORDS.getOpaque(summary, summaryIndex) & blockBit) == 0) {
      // ORDER B3 volatile: atomic, because 64 blocks share a word; B4 keeps it before the word's
      // bit. Pairs with the exchange in fetch (B5). If weaker (not atomic): the bit of another
      // block is wiped out.
      WORDS.getAndBitwiseOr(summary, summaryIndex, blockBit);
    }
    // ORDER B4 release: the guest's store and the summary bit come before the word's bit. Pairs
    // with the acquire of the word in fetch (B6), and with S2 through the acknowledgements of other
    // markers. If weaker: another marker sees the word's bit first and relies on it, and fetch
    // finds no summary bit.
    long old = (long) WORDS.getAndBitwiseOrRelease(words, wordIndex, bits);
    return bits & ~old;
  }

  /**
   * Hands out every word in which a bit may have been set since the last fetch. Each word comes
   * with all its set bits, including those that an earlier fetch handed out; none is cleared. Every
   * completed mark whose marker has passed a quiescent state since is found.
   *
   * <p>One thread at a time may call this, beside any number of markers. It looks at the summary
   * (one word per 32,768 pages) and at the blocks in which something was marked.
   *
   * @param quiesced true if every thread that may have been marking during the previous fetch has
   *     passed a quiescent state since that fetch ended; false is always safe, and means that more
   *     blocks are read again
   * @param sink receives the words, ascending; whatever it throws passes through, and the next
   *     fetch hands out again what was not handed out
   */
  public void fetch(boolean quiesced, PageWordConsumer sink) {
    for (int s = 0; s < summary.length; s++) {
      long suspect = suspects[s];
      // B5. This look comes first because an exchange costs more than a load; a bit that is set
      // after it belongs to the next fetch.
      long fresh = (long) WORDS.getOpaque(summary, s);
      if ((fresh | suspect) == 0) {
        continue;
      }
      if (fresh != 0) {
        // ORDER B5 volatile: taken in one step, before the words are read. Pairs with B2, B3 and
        // B4: the block of a marker that saw the bit set earlier is a suspect, and a bit that is
        // set later is found by the next fetch. If weaker (a load and a store): a bit that is set
        // between the two is wiped out, and its block is no suspect. The order alone is not needed,
        // because the suspects cover a mark that races with it.
        fresh = (long) WORDS.getAndSet(summary, s, 0L);
      }
      // The suspects are dropped after the words were handed out, because the sink may throw.
      suspects[s] = suspect | fresh;
      handOut(s, fresh | suspect, sink);
      suspects[s] = quiesced ? fresh : suspect | fresh;
    }
  }

  /**
   * Fetches and clears in one go: every page that {@link #fetch} would hand out is added to each of
   * the sets, and its bit is cleared once all of them have it. A page that was handed out before
   * and not cleared since comes again.
   *
   * <p>One thread at a time may call this or {@code fetch}, beside any number of markers. As after
   * {@link #clearWord}, no page may be read before every marker has passed a quiescent state.
   *
   * @param quiesced as of {@code fetch}: of the previous call of either kind
   * @param sets get the pages
   * @return whether there were any
   * @throws OutOfMemoryError if a set cannot be made larger: pages that some of the sets have by
   *     then are cleared if all of them do, and the next call hands out the others again
   * @throws IllegalArgumentException if a set has another page count; nothing is changed
   */
  public boolean moveInto(boolean quiesced, PageSet... sets) {
    for (PageSet set : sets) {
      BitmapLayout.checkSamePageCount(pageCount, set);
    }
    boolean any = false;
    for (int s = 0; s < summary.length; s++) {
      long suspect = suspects[s];
      long fresh = (long) WORDS.getOpaque(summary, s); // B5, as in fetch
      if ((fresh | suspect) == 0) {
        continue;
      }
      if (fresh != 0) {
        fresh = (long) WORDS.getAndSet(summary, s, 0L); // B5, as in fetch
      }
      suspects[s] = suspect | fresh;
      any |= moveBlocks(s, suspect | fresh, sets);
      suspects[s] = quiesced ? fresh : suspect | fresh;
    }
    return any;
  }

  private boolean moveBlocks(int summaryIndex, long blocks, PageSet[] sets) {
    for (PageSet set : sets) {
      set.expectBlocks(Long.bitCount(blocks));
    }
    boolean any = false;
    for (long rest = blocks; rest != 0; rest &= rest - 1) {
      int block = (summaryIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(rest);
      int found = readBlock(block);
      if (found != 0) {
        for (PageSet set : sets) {
          set.addBlock(block, moving);
        }
        clearBlock(block, found);
        any = true;
      }
    }
    return any;
  }

  /** Reads a block and returns which of its words have pages, one bit per word. */
  private int readBlock(int block) {
    // In locals, because an access that is more than plain has every field loaded anew.
    long[] from = words;
    long[] to = moving;
    int first = block << WORDS_PER_BLOCK_SHIFT;
    int count = Math.min(WORDS_PER_BLOCK, from.length - first);
    int found = 0;
    for (int i = 0; i < count; i++) {
      long bits = (long) WORDS.getAcquire(from, first + i); // B6, as in handOutBlock
      to[i] = bits;
      found |= (int) ((bits | -bits) >>> 63) << i;
    }
    for (int i = count; i < WORDS_PER_BLOCK; i++) {
      to[i] = 0;
    }
    return found;
  }

  /** Clears in a block what was read, in those of its words that have pages. */
  private void clearBlock(int block, int found) {
    long[] from = words;
    long[] read = moving;
    int first = block << WORDS_PER_BLOCK_SHIFT;
    for (int rest = found; rest != 0; rest &= rest - 1) {
      int i = Integer.numberOfTrailingZeros(rest);
      // ORDER B14 volatile: a word is exchanged for 0 only if it is what every set has. Pairs with
      // B4, and with B1 through S1 and S2 as B11 does. If weaker (not atomic): a mark between the
      // read and the store is wiped. A word that was marked meanwhile is left to clearWord.
      if (!WORDS.compareAndSet(from, first + i, read[i], 0L)) {
        clearWord(first + i, read[i]);
      }
    }
  }

  private void handOut(int summaryIndex, long blocks, PageWordConsumer sink) {
    for (long rest = blocks; rest != 0; rest &= rest - 1) {
      handOutBlock((summaryIndex << WORD_SHIFT) + Long.numberOfTrailingZeros(rest), sink);
    }
  }
}
