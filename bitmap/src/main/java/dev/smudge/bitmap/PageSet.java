package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_SUMMARY;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_SUMMARY_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A set of pages for one thread at a time: a client's view, what a batch holds, a snapshot.
 *
 * <p>Memory is taken as pages are added, 4 KiB for 32,768 pages, and kept for reuse; a full set
 * costs next to none. Cost of every walk: one word a 32,768 pages, and the blocks of 512 pages that
 * hold something. Not thread-safe: the caller's lock, or one thread.
 */
public final class PageSet {
  private static final int BLOCK_SHIFT = WORDS_PER_BLOCK_SHIFT + WORD_SHIFT;
  private static final int CHUNK_SHIFT = WORDS_PER_SUMMARY_SHIFT + WORD_SHIFT;

  /** From so many blocks of 64 on, moving a whole chunk costs less than moving its words. */
  private static final int DENSE_BLOCKS = 16;

  /** Stands for 32,768 pages, all in the set; never written. */
  private static final long[] FULL = newFullChunk();

  private final long pageCount;
  private final int wordCount;
  private final long[] @Nullable [] chunks; // one a summary word
  private final long[] summary; // bit a block: may hold something
  private WordList list = new WordList(); // the pages, as long as they are few
  private boolean listed = true; // in the list, and every chunk is empty
  private long size;

  /**
   * Makes an empty set.
   *
   * @param pageCount pages that it may hold, numbered from 0; 1 to about 137 billion
   * @throws IllegalArgumentException if {@code pageCount} is outside that
   */
  public PageSet(long pageCount) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.wordCount = BitmapLayout.words(pageCount);
    this.summary = new long[BitmapLayout.summaryWords(wordCount)];
    this.chunks = new long[summary.length][];
  }

  private static long[] newFullChunk() {
    long[] full = new long[WORDS_PER_SUMMARY];
    Arrays.fill(full, -1L);
    return full;
  }

  @SuppressWarnings("ReferenceEquality") // the one array that stands for a full chunk
  private static boolean isFull(long @Nullable [] chunk) {
    return chunk == FULL;
  }

  /** {@return the number of pages that the set may hold} */
  public long pageCount() {
    return pageCount;
  }

  /** {@return the number of pages in the set} */
  public long size() {
    return size;
  }

  /** {@return whether no page is in the set} */
  public boolean isEmpty() {
    return size == 0;
  }

  /**
   * Returns a word of the set.
   *
   * @param wordIndex word: its bit 0 is page {@code 64 * wordIndex}
   * @return its bits
   * @throws IndexOutOfBoundsException if there is no such word
   */
  public long word(int wordIndex) {
    BitmapLayout.checkWord(wordIndex, wordCount);
    if (listed) {
      int at = list.find(wordIndex);
      return at < 0 ? 0 : list.bits[at];
    }
    long[] chunk = chunks[wordIndex >>> WORDS_PER_SUMMARY_SHIFT];
    return chunk == null ? 0 : chunk[wordIndex & WORDS_PER_SUMMARY - 1];
  }

  /**
   * Adds pages of one word.
   *
   * @param wordIndex word
   * @param bits pages to add; bits past the last page are ignored
   * @return those that were not in the set before
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public long add(int wordIndex, long bits) {
    BitmapLayout.checkWord(wordIndex, wordCount);
    long inside = bits & BitmapLayout.mask(wordIndex, 0, pageCount);
    if (listed && list.canAppend(wordIndex)) {
      if (inside != 0) {
        list.append(wordIndex, inside);
        size += Long.bitCount(inside);
      }
      return inside;
    }
    long news = inside & ~word(wordIndex);
    if (news != 0) {
      spread();
      addToChunk(wordIndex, news);
      size += Long.bitCount(news);
    }
    return news;
  }

  /** From the list to the chunks. */
  private void spread() {
    if (listed) {
      listed = false;
      for (int i = 0; i < list.length; i++) {
        addToChunk(list.indexes[i], list.bits[i]);
      }
      list.clear();
    }
  }

  private void addToChunk(int wordIndex, long bits) {
    if (bits != 0) {
      writable(wordIndex >>> WORDS_PER_SUMMARY_SHIFT)[wordIndex & WORDS_PER_SUMMARY - 1] |= bits;
      int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
      summary[block >>> WORD_SHIFT] |= 1L << block;
    }
  }

  private void shrink(long pages) {
    size -= pages;
    if (size == 0) {
      list.clear();
      listed = true; // all chunks are empty now
    }
  }

  /**
   * Removes pages of one word.
   *
   * @param wordIndex word
   * @param bits pages to remove
   * @return those that were in the set
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public long remove(int wordIndex, long bits) {
    long gone = bits & word(wordIndex);
    if (gone != 0 && listed) {
      list.bits[list.find(wordIndex)] &= ~gone;
      shrink(Long.bitCount(gone));
    } else if (gone != 0) {
      int summaryIndex = wordIndex >>> WORDS_PER_SUMMARY_SHIFT;
      long[] chunk = writable(summaryIndex);
      int inChunk = wordIndex & WORDS_PER_SUMMARY - 1;
      chunk[inChunk] &= ~gone;
      if (chunk[inChunk] == 0 && isBlockEmpty(chunk, inChunk & -WORDS_PER_BLOCK)) {
        summary[summaryIndex] &= ~(1L << (wordIndex >>> WORDS_PER_BLOCK_SHIFT));
      }
      shrink(Long.bitCount(gone));
    }
    return gone;
  }

  private static boolean isBlockEmpty(long[] chunk, int from) {
    long all = 0;
    for (int i = 0; i < WORDS_PER_BLOCK; i++) {
      all |= chunk[from + i];
    }
    return all == 0;
  }

  private long[] writable(int summaryIndex) {
    long[] chunk = chunks[summaryIndex];
    if (chunk == null) {
      chunk = new long[WORDS_PER_SUMMARY];
      chunks[summaryIndex] = chunk;
    } else if (isFull(chunk)) {
      chunk = FULL.clone();
      chunks[summaryIndex] = chunk;
    }
    return chunk;
  }

  /**
   * Adds a range of pages.
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many were not in the set before
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   */
  public long addRange(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long before = size;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      add(wordIndex, BitmapLayout.mask(wordIndex, firstPage, end));
    }
    return size - before;
  }

  /**
   * Removes a range of pages.
   *
   * @param firstPage first page
   * @param count pages, 0 or more
   * @return how many were in the set
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   */
  public long removeRange(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    return moveRange(firstPage, count, Long.MAX_VALUE, null);
  }

  /** Adds every page. */
  public void addAll() {
    spread();
    for (int s = 0; s < summary.length; s++) {
      int firstWord = s << WORDS_PER_SUMMARY_SHIFT;
      if ((long) (firstWord + WORDS_PER_SUMMARY) << WORD_SHIFT <= pageCount) {
        chunks[s] = FULL;
        summary[s] = -1L;
      } else {
        for (int w = firstWord; w < wordCount; w++) {
          addToChunk(w, BitmapLayout.mask(w, 0, pageCount));
        }
      }
    }
    size = pageCount;
  }

  /**
   * Adds every page of another set.
   *
   * @param other the other set, of the same page count; unchanged
   * @throws IllegalArgumentException if it has another page count; nothing is changed
   */
  @SuppressWarnings("ReferenceEquality")
  public void addAll(PageSet other) {
    checkSameSize(other);
    if (other == this) {
      return;
    }
    long news = listed && other.listed ? list.addAll(other.list) : -1;
    if (news < 0) {
      other.forEachWord(this::add);
    } else {
      size += news;
    }
  }

  /**
   * Removes every page of another set.
   *
   * @param other the other set, of the same page count; unchanged
   * @throws IllegalArgumentException if it has another page count; nothing is changed
   */
  @SuppressWarnings("ReferenceEquality")
  public void removeAll(PageSet other) {
    checkSameSize(other);
    if (other == this) {
      clear();
    } else if (listed && other.listed) {
      shrink(list.removeAll(other.list));
    } else {
      other.forEachWord(this::remove);
    }
  }

  /** Removes every page. */
  public void clear() {
    for (int s = 0; !listed && s < summary.length; s++) {
      if (summary[s] != 0) {
        clearChunk(s);
      }
    }
    shrink(size);
  }

  private void clearChunk(int summaryIndex) {
    long[] chunk = chunks[summaryIndex];
    if (isFull(chunk)) {
      chunks[summaryIndex] = null;
    } else if (chunk != null) {
      for (long blocks = summary[summaryIndex]; blocks != 0; blocks &= blocks - 1) {
        int from = Long.numberOfTrailingZeros(blocks) << WORDS_PER_BLOCK_SHIFT;
        Arrays.fill(chunk, from, from + WORDS_PER_BLOCK, 0L);
      }
    }
    summary[summaryIndex] = 0;
  }

  /**
   * Moves pages of a range from this set to another, lowest first.
   *
   * @param firstPage first page of the range
   * @param count pages of the range, 0 or more
   * @param limit most pages to move, 0 or more
   * @param into where they go, of the same page count; or null: they go nowhere
   * @return how many pages were moved
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   * @throws IllegalArgumentException if {@code limit} is negative or {@code into} has another page
   *     count; nothing is changed
   */
  public long moveRange(long firstPage, long count, long limit, @Nullable PageSet into) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    if (limit < 0) {
      throw new IllegalArgumentException("limit " + limit + " is negative");
    }
    if (into != null) {
      checkSameSize(into);
    }
    long end = firstPage + count;
    return listed
        ? moveListed(firstPage, end, limit, into)
        : moveChunked(firstPage, end, limit, into);
  }

  private long moveListed(long firstPage, long end, long limit, @Nullable PageSet into) {
    if (into != null && into.isEmpty() && limit >= size && firstPage == 0 && end == pageCount) {
      return moveList(into);
    }
    long left = limit;
    int from = list.find((int) (firstPage >>> WORD_SHIFT));
    for (int i = from < 0 ? -1 - from : from; i < list.length && left > 0; i++) {
      int wordIndex = list.indexes[i];
      if ((long) wordIndex << WORD_SHIFT >= end) {
        break;
      }
      long bits = list.bits[i] & BitmapLayout.mask(wordIndex, firstPage, end);
      left -= move(wordIndex, bits, left, into);
    }
    return limit - left;
  }

  /** Moves everything by exchanging the lists. */
  private long moveList(PageSet into) {
    WordList empty = into.list;
    into.list = list;
    into.size = size;
    list = empty;
    size = 0;
    return into.size;
  }

  /** Moves at most so many pages of a word, all of which this set holds. */
  private long move(int wordIndex, long bits, long limit, @Nullable PageSet into) {
    long moving = bits;
    while (Long.bitCount(moving) > limit) {
      moving &= ~Long.highestOneBit(moving);
    }
    if (moving != 0) {
      remove(wordIndex, moving);
      if (into != null) {
        into.add(wordIndex, moving);
      }
    }
    return Long.bitCount(moving);
  }

  private long moveChunked(long firstPage, long end, long limit, @Nullable PageSet into) {
    long left = limit;
    long page = firstPage;
    while (page < end && left > 0) {
      int wordIndex = (int) (page >>> WORD_SHIFT);
      int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
      long ahead = summary[block >>> WORD_SHIFT] >>> block;
      if (ahead == 0) {
        page = (long) ((block | 63) + 1) << BLOCK_SHIFT;
        continue;
      }
      int skip = Long.numberOfTrailingZeros(ahead);
      if (skip > 0) {
        page = (long) (block + skip) << BLOCK_SHIFT;
        continue;
      }
      int summaryIndex = wordIndex >>> WORDS_PER_SUMMARY_SHIFT;
      long nextChunk = Math.min(pageCount, (long) (summaryIndex + 1) << CHUNK_SHIFT);
      if ((page & (1L << CHUNK_SHIFT) - 1) == 0
          && nextChunk <= end
          && left >= 1L << CHUNK_SHIFT
          && Long.bitCount(summary[summaryIndex]) >= DENSE_BLOCKS
          && (into == null || into.isChunkEmpty(summaryIndex))) {
        left -= moveChunk(summaryIndex, into);
        page = nextChunk;
        continue;
      }
      long bits = word(wordIndex) & BitmapLayout.mask(wordIndex, firstPage, end);
      left -= move(wordIndex, bits, left, into);
      page = (page | 63) + 1;
    }
    return limit - left;
  }

  /** Whether nothing is in a chunk; after return the set is not kept as a list. */
  private boolean isChunkEmpty(int summaryIndex) {
    spread(); // first: the summary does not know what is in the list
    return summary[summaryIndex] == 0;
  }

  /** Moves a whole chunk by exchanging arrays; the other set holds nothing there. */
  private long moveChunk(int summaryIndex, @Nullable PageSet into) {
    long[] chunk = chunks[summaryIndex];
    long moved = 0;
    if (isFull(chunk)) {
      moved = 1L << CHUNK_SHIFT;
    } else if (chunk != null) {
      for (long word : chunk) {
        moved += Long.bitCount(word);
      }
    }
    if (into != null) {
      chunks[summaryIndex] = into.chunks[summaryIndex];
      into.chunks[summaryIndex] = chunk;
      into.summary[summaryIndex] = summary[summaryIndex];
      into.size += moved;
      summary[summaryIndex] = 0;
    } else {
      clearChunk(summaryIndex);
    }
    shrink(moved);
    return moved;
  }

  private void checkSameSize(PageSet other) {
    if (other.pageCount != pageCount) {
      throw new IllegalArgumentException(
          "the other set has " + other.pageCount + " pages, this one " + pageCount);
    }
  }

  /**
   * Returns the highest page of the set that is not above a page.
   *
   * @param pageIndex page
   * @return that page, or -1 if there is none
   * @throws IndexOutOfBoundsException if there is no page {@code pageIndex}
   */
  public long floor(long pageIndex) {
    BitmapLayout.checkPage(pageIndex, pageCount);
    int wordIndex = (int) (pageIndex >>> WORD_SHIFT);
    long bits = word(wordIndex) & (-1L >>> ~pageIndex);
    if (listed) {
      int found = list.find(wordIndex);
      for (int at = found < 0 ? -1 - found : found; bits == 0 && at > 0; ) {
        at--;
        wordIndex = list.indexes[at];
        bits = list.bits[at];
      }
      return bits == 0
          ? -1
          : ((long) wordIndex << WORD_SHIFT) + 63 - Long.numberOfLeadingZeros(bits);
    }
    while (bits == 0) {
      wordIndex--;
      if (wordIndex < 0) {
        return -1;
      }
      if (summary[wordIndex >>> WORDS_PER_SUMMARY_SHIFT] == 0) {
        wordIndex &= -WORDS_PER_SUMMARY; // the first word of a chunk that holds nothing
      }
      bits = word(wordIndex);
    }
    return ((long) wordIndex << WORD_SHIFT) + 63 - Long.numberOfLeadingZeros(bits);
  }

  /**
   * Hands out the non-zero words, ascending. The sink may remove pages of the word it was given and
   * of earlier ones.
   *
   * @param sink gets the words; what it throws comes through
   */
  public void forEachWord(PageWordConsumer sink) {
    if (listed) {
      for (int i = 0; i < list.length; i++) {
        if (list.bits[i] != 0) {
          sink.accept(list.indexes[i], list.bits[i]);
        }
      }
      return;
    }
    for (int s = 0; s < summary.length; s++) {
      for (long blocks = summary[s]; blocks != 0; blocks &= blocks - 1) {
        int block = (s << WORD_SHIFT) + Long.numberOfTrailingZeros(blocks);
        int from = block << WORDS_PER_BLOCK_SHIFT;
        int to = Math.min(from + WORDS_PER_BLOCK, wordCount);
        for (int w = from; w < to; w++) {
          long bits = word(w);
          if (bits != 0) {
            sink.accept(w, bits);
          }
        }
      }
    }
  }

  /**
   * Hands out the pages as runs, ascending, each as long as it can be. The consumer may remove
   * pages of the run it was given and of earlier ones.
   *
   * @param consumer gets the runs; what it throws comes through
   */
  public void forEachRun(PageRunConsumer consumer) {
    forEachRun(0, pageCount, consumer);
  }

  /**
   * Hands out the pages of a range as runs, as {@link #forEachRun(PageRunConsumer)}; a run ends at
   * the end of the range at the latest. Allocates nothing.
   *
   * @param firstPage first page of the range
   * @param count pages of the range, 0 or more
   * @param consumer gets the runs
   * @throws IndexOutOfBoundsException if the range is not inside the set
   */
  public void forEachRun(long firstPage, long count, PageRunConsumer consumer) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long end = firstPage + count;
    long first = nextSet(firstPage, end);
    while (first < end) {
      long past = nextClear(first + 1, end);
      consumer.accept(first, past - first);
      first = nextSet(past, end);
    }
  }

  /** The first page of the set in {@code [page, end)}, or {@code end}. */
  private long nextSet(long page, long end) {
    if (listed) {
      return nextListed(page, end);
    }
    long at = page;
    while (at < end) {
      int wordIndex = (int) (at >>> WORD_SHIFT);
      int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
      long ahead = summary[block >>> WORD_SHIFT] >>> block;
      if (ahead == 0) {
        at = (long) ((block | 63) + 1) << BLOCK_SHIFT;
      } else if ((ahead & 1) == 0) {
        at = (long) (block + Long.numberOfTrailingZeros(ahead)) << BLOCK_SHIFT;
      } else {
        long bits = word(wordIndex) >>> at;
        if (bits != 0) {
          return Math.min(end, at + Long.numberOfTrailingZeros(bits));
        }
        at = (at | 63) + 1;
      }
    }
    return end;
  }

  private long nextListed(long page, long end) {
    if (page >= end) {
      return end;
    }
    int found = list.find((int) (page >>> WORD_SHIFT));
    for (int i = found < 0 ? -1 - found : found; i < list.length; i++) {
      long first = (long) list.indexes[i] << WORD_SHIFT;
      if (first >= end) {
        break;
      }
      long bits = list.bits[i] & BitmapLayout.mask(list.indexes[i], page, end);
      if (bits != 0) {
        return first + Long.numberOfTrailingZeros(bits);
      }
    }
    return end;
  }

  /** The first page not in the set in {@code [page, end)}, or {@code end}. */
  private long nextClear(long page, long end) {
    long at = page;
    while (at < end) {
      int wordIndex = (int) (at >>> WORD_SHIFT);
      if ((at & 63) == 0
          && (wordIndex & WORDS_PER_SUMMARY - 1) == 0
          && !listed
          && isFull(chunks[wordIndex >>> WORDS_PER_SUMMARY_SHIFT])) {
        at += (long) WORDS_PER_SUMMARY << WORD_SHIFT;
        continue;
      }
      long clear = ~word(wordIndex) >>> at;
      if (clear != 0) {
        return Math.min(end, at + Long.numberOfTrailingZeros(clear));
      }
      at = (at | 63) + 1;
    }
    return end;
  }

  @Override
  public String toString() {
    return "PageSet[" + size + " of " + pageCount + " pages]";
  }
}
