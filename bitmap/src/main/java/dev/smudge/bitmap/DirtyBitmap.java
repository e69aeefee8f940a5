package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A bitmap of one bit a page that many threads mark at once, with a summary level (one bit a block
 * of 512 pages) that lets a collector find what is new without looking at every word.
 *
 * <p>It serves three disciplines, and one bitmap uses one of them:
 *
 * <ul>
 *   <li><b>Test, then mark</b> ({@link #mark}, {@link #markRange}; collected with {@link #fetch},
 *       armed with {@link #clearWord}). A marker that finds the bit set is done: no fence, no
 *       atomic. Markers are threads with quiescent states (vCPUs).
 *   <li><b>Mark always</b> ({@link #markAlways}; collected with {@link #drain}). Every marker does
 *       the atomic OR itself, so it depends on no other marker and needs no quiescent state.
 *   <li><b>Mark, and report elsewhere</b> ({@link #markWord}; armed with {@link #clearWord}). As
 *       the first, but whoever changes a bit reports the page itself, in a ring. What he cannot
 *       report there he reports here ({@link #report}; collected with {@link #fetchReported}).
 * </ul>
 *
 * <p><b>Why {@code fetch} finds every completed mark.</b> A marker that changes 0 to 1 makes sure
 * that the summary bit is set, <em>then</em> ORs the word. So a bit that is seen set had its
 * summary bit set before. The collector exchanges the summary word with 0 and then reads the words.
 * One interleaving escapes it: a marker sees the summary bit set, the collector exchanges the
 * summary and reads the word, the marker ORs the word. Now the word has a bit and the summary has
 * none, and other markers that find the bit set rely on it. That first marker was in the middle of
 * its mark while the collector fetched. So the collector keeps the blocks of a fetch as
 * <em>suspects</em>, and reads them again in every later fetch up to and including the first one
 * that begins after all markers of then have passed a quiescent state ({@code quiesced}): by then
 * that OR has been done. Whatever other markers are doing half-way, a marker that relied on the set
 * bit relied on an OR that is either behind a set summary bit or in a suspect block.
 *
 * <p>Pages are numbered from 0. All methods may be called from any thread at any time, but for
 * {@code fetch} and {@code drain}: one thread at a time. Nothing blocks; nothing allocates after
 * construction. Source: design 3.2.
 */
public final class DirtyBitmap {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
  private static final VarHandle REPORTED;

  static {
    try {
      REPORTED = MethodHandles.lookup().findVarHandle(DirtyBitmap.class, "reported", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final long pageCount;
  private final long[] words;
  private final long[] summary;
  private final long[] suspects; // collector only: blocks to read again

  @SuppressWarnings("UnusedVariable") // read through REPORTED only
  private volatile boolean reported; // something, since the last fetchReported

  /**
   * Makes a bitmap with all bits clear.
   *
   * @param pageCount pages, 1 to about 137 billion
   * @throws IllegalArgumentException if {@code pageCount} is outside that
   */
  public DirtyBitmap(long pageCount) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.words = new long[BitmapLayout.words(pageCount)];
    this.summary = new long[BitmapLayout.summaryWords(words.length)];
    this.suspects = new long[summary.length];
  }

  /** {@return the number of pages} */
  public long pageCount() {
    return pageCount;
  }

  /** {@return the number of 64-page words} */
  public int wordCount() {
    return words.length;
  }

  /**
   * Marks a page, unless it is marked already. Wait-free; no fence and no atomic when the bit is
   * set. What the caller stored before is visible to a collector only after the caller's next
   * quiescent state (design 3.3).
   *
   * @param pageIndex page, 0 to {@code pageCount - 1}
   * @return true if this call changed the bit from 0 to 1
   * @throws IndexOutOfBoundsException if there is no such page; nothing is changed
   */
  public boolean mark(long pageIndex) {
    if (Long.compareUnsigned(pageIndex, pageCount) >= 0) {
      throw BitmapLayout.badPage(pageIndex, pageCount);
    }
    int wordIndex = (int) (pageIndex >>> WORD_SHIFT);
    long bit = 1L << pageIndex;
    // ORDER B1 opaque: a set bit ends the mark, whatever the age of what is read. Pairs with the
    // after-sync barrier (S1, S2), which makes a stale 'set' harmless. If weaker (plain): the
    // compiler may hoist the load out of a guest's loop and never see the page armed.
    if (((long) WORDS.getOpaque(words, wordIndex) & bit) != 0) {
      return false;
    }
    return markClearBits(wordIndex, bit) != 0;
  }

  /**
   * Returns whether a page was marked when last looked at: the test with which {@link #mark}
   * begins, and as old as that may be.
   *
   * @param pageIndex page, 0 to {@code pageCount - 1}
   * @return true if a mark would change nothing
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public boolean isMarked(long pageIndex) {
    Objects.checkIndex(pageIndex, pageCount);
    // B1, as in mark.
    long word = (long) WORDS.getOpaque(words, (int) (pageIndex >>> WORD_SHIFT));
    return (word >>> pageIndex & 1) != 0;
  }

  /**
   * Marks pages, each unless it is marked already. As {@link #mark}.
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
      // B1, as in mark.
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
   * <p>One thread at a time. Cost: the words of the summary (one a 32,768 pages), and the blocks in
   * which something was marked.
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

  /**
   * Marks pages of one word, each unless it is marked already, and leaves it to the caller to
   * report those that it changed. Otherwise as {@link #mark}.
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
    // B1, as in mark.
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
   * time. Costs one load if nothing was reported, and otherwise as {@link #fetch}.
   *
   * @param sink gets the words, ascending; what it throws comes through, and what was not handed
   *     out yet is handed out by the next call
   */
  public void fetchReported(PageWordConsumer sink) {
    // B13, looked at first because an exchange costs more than a load.
    if (!(boolean) REPORTED.getOpaque(this) || !(boolean) REPORTED.getAndSet(this, false)) {
      return;
    }
    boolean done = false;
    try {
      fetch(true, sink); // no suspects: the word is marked before its summary bit is set
      done = true;
    } finally {
      if (!done) {
        reported = true;
      }
    }
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
   * before is found. One thread at a time. Cost as {@link #fetch}.
   *
   * @param sink gets the words, ascending; it must not throw: a word that it was given is out of
   *     the bitmap
   */
  public void drain(PageWordConsumer sink) {
    for (int s = 0; s < summary.length; s++) {
      // B9.
      if ((long) WORDS.getVolatile(summary, s) == 0) {
        continue;
      }
      // ORDER B9 volatile: the summary before the words. Pairs with B8. If weaker: as B7.
      long blocks = (long) WORDS.getAndSet(summary, s, 0L);
      for (; blocks != 0; blocks &= blocks - 1) {
        int block = (s << WORD_SHIFT) + Long.numberOfTrailingZeros(blocks);
        int from = block << WORDS_PER_BLOCK_SHIFT;
        int to = Math.min(from + WORDS_PER_BLOCK, words.length);
        for (int w = from; w < to; w++) {
          // ORDER B10 volatile, the look before the exchange too: after B9. Pairs with B7; the
          // device's bytes are visible to whoever reads pages after this. If weaker: the look
          // passes the exchange of the summary, sees the word before a mark whose marker sees the
          // summary bit still set, and that mark stays behind a clear summary.
          long bits =
              (long) WORDS.getVolatile(words, w) == 0 ? 0 : (long) WORDS.getAndSet(words, w, 0L);
          if (bits != 0) {
            sink.accept(w, bits);
          }
        }
      }
    }
  }

  /**
   * Clears bits of one word (arms those pages).
   *
   * @param wordIndex word
   * @param mask bits to clear
   * @return those of them that were set
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public long clearWord(int wordIndex, long mask) {
    BitmapLayout.checkWord(wordIndex, words.length);
    // ORDER B11 volatile: the clear comes before the request of the handshake that follows it (S1).
    // Pairs with B1 through S1 and S2. If weaker: a vCPU that has acknowledged still sees 'set'.
    return (long) WORDS.getAndBitwiseAnd(words, wordIndex, ~mask) & mask;
  }

  /**
   * Clears the bits of a range (arms those pages).
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many of them were set
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   */
  public long clear(long firstPage, long count) {
    return exchange(firstPage, count, null);
  }

  /**
   * Clears the bits of a range, atomically word by word, and adds those that were set to a page
   * set.
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @param into gets the pages, or null; of the same page count
   * @return how many pages were set
   * @throws IndexOutOfBoundsException if the range is not inside the bitmap; nothing is changed
   * @throws IllegalArgumentException if {@code into} has another page count; nothing is changed
   */
  public long exchange(long firstPage, long count, @Nullable PageSet into) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    checkSameSize(into);
    long taken = 0;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      long mask = BitmapLayout.mask(wordIndex, firstPage, end);
      if (((long) WORDS.getOpaque(words, wordIndex) & mask) == 0) {
        continue;
      }
      // B11, as in clearWord.
      long bits = (long) WORDS.getAndBitwiseAnd(words, wordIndex, ~mask) & mask;
      taken += Long.bitCount(bits);
      if (into != null && bits != 0) {
        into.add(wordIndex, bits);
      }
    }
    return taken;
  }

  /**
   * Sets every bit without reporting any: no page is armed (tracking off, or KVM's INITIALLY_SET).
   */
  public void disarm() {
    for (int w = 0; w < words.length; w++) {
      // ORDER B12 opaque, then a full fence: a set bit only stops reports. Pairs with B1. If weaker
      // (plain): the fill may be torn for a marker that looks meanwhile.
      WORDS.setOpaque(words, w, BitmapLayout.mask(w, 0, pageCount));
    }
    VarHandle.fullFence();
  }

  /**
   * Returns whether a page's bit is set.
   *
   * @param pageIndex page
   * @return true if it is
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public boolean isSet(long pageIndex) {
    BitmapLayout.checkPage(pageIndex, pageCount);
    return ((long) WORDS.getVolatile(words, (int) (pageIndex >>> WORD_SHIFT)) & 1L << pageIndex)
        != 0;
  }

  /**
   * Copies all set bits into a page set, which is emptied first. Word by word: bits set meanwhile
   * may be in it or not.
   *
   * @param into the page set, of the same page count
   * @throws IllegalArgumentException if {@code into} has another page count; nothing is changed
   */
  public void snapshot(PageSet into) {
    checkSameSize(into);
    into.clear();
    for (int w = 0; w < words.length; w++) {
      long bits = (long) WORDS.getVolatile(words, w);
      if (bits != 0) {
        into.add(w, bits);
      }
    }
  }

  private void checkSameSize(@Nullable PageSet into) {
    if (into != null && into.pageCount() != pageCount) {
      throw new IllegalArgumentException(
          "the page set has " + into.pageCount() + " pages, the bitmap " + pageCount);
    }
  }

  @Override
  public String toString() {
    return "DirtyBitmap[pages="
        + pageCount
        + ", set="
        + Arrays.stream(words).map(Long::bitCount).sum()
        + "]";
  }
}
