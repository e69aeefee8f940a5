package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.CHUNK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;

import org.jspecify.annotations.Nullable;

/**
 * A set of pages, used by one thread at a time: a client's view of what is dirty, or the pages that
 * a batch holds. Pages are numbered from 0.
 *
 * <p><b>Form.</b> A set with few pages is a sorted list of 64-page words; a set with many is an
 * array of chunks of 32,768 pages each.
 *
 * <pre>
 *   list    --- a word is added that is not the last one, or the list is full ---&gt;   chunks
 *   list    &lt;-------------- the last page is removed ---------------------------   chunks
 * </pre>
 *
 * <p>A list costs 12 bytes per word that has pages. A chunk costs 4 KiB, except that a chunk whose
 * pages are all in the set costs nothing. Memory is allocated as pages are added and is kept for
 * reuse. A walk costs what it finds; over chunks, it also costs one look per chunk.
 *
 * <p><b>Threads.</b> Not thread-safe. Methods that only look at the set count as uses too, because
 * a search remembers where it ended.
 *
 * <p><b>Running out of memory.</b> Every step allocates before its first effect, so an {@link
 * OutOfMemoryError} loses no page. Afterwards the set can be used as before, and {@link #size()} is
 * right. A call that was cut short has had its effect for some of its pages: a page that was to be
 * added or removed may be in the set or not, and a page that was to be moved is in one of the two
 * sets or in both. Calling again completes the work.
 */
public final class PageSet {
  private final long pageCount;
  private final int wordCount;
  private WordChunks chunks;
  private WordList list;
  private PageWords words; // the list or the chunks; the other one is empty
  private long size;

  /**
   * Makes an empty set.
   *
   * @param pageCount the number of pages it may hold, 1 to {@link ArmableBitmap#MAX_PAGES}
   * @throws IllegalArgumentException if {@code pageCount} is outside that range
   */
  public PageSet(long pageCount) {
    this(pageCount, ArrayFactory.HEAP);
  }

  PageSet(long pageCount, ArrayFactory arrays) {
    this.pageCount = BitmapLayout.checkPageCount(pageCount);
    this.wordCount = BitmapLayout.words(pageCount);
    this.chunks = new WordChunks(wordCount, arrays);
    this.list = new WordList(arrays);
    this.words = list;
  }

  private boolean isList() {
    return words == list;
  }

  /** {@return the number of pages that the set may hold} */
  public long pageCount() {
    return pageCount;
  }

  /** {@return the number of pages in the set} */
  public long size() {
    return size;
  }

  /** {@return whether the set has no page} */
  public boolean isEmpty() {
    return size == 0;
  }

  /**
   * Returns one word of the set.
   *
   * @param wordIndex index of the word: its bit 0 is page {@code 64 * wordIndex}
   * @return the bits of the pages that are in the set
   * @throws IndexOutOfBoundsException if there is no such word
   */
  public long word(int wordIndex) {
    BitmapLayout.checkWord(wordIndex, wordCount);
    return words.word(wordIndex);
  }

  /**
   * Adds pages of one word.
   *
   * @param wordIndex index of the word
   * @param bits the pages to add; bits past the last page are ignored
   * @return the bits of the pages that were not in the set before
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public long add(int wordIndex, long bits) {
    BitmapLayout.checkWord(wordIndex, wordCount);
    long inside = bits & BitmapLayout.mask(wordIndex, 0, pageCount);
    if (isList() && list.canAppend(wordIndex)) {
      if (inside != 0) {
        list.append(wordIndex, inside);
        size += Long.bitCount(inside);
      }
      return inside;
    }
    long added = inside & ~words.word(wordIndex);
    if (added != 0) {
      changeToChunks();
      chunks.add(wordIndex, added);
      size += Long.bitCount(added);
    }
    return added;
  }

  /**
   * Adds the pages of a block of eight words, none of them past the last page.
   *
   * @param block index of the block
   * @param blockWords its eight words
   */
  void addBlock(int block, long[] blockWords) {
    if (!isList()) {
      size += chunks.addBlock(block, blockWords);
      return;
    }
    for (int i = 0; i < WORDS_PER_BLOCK; i++) {
      if (blockWords[i] != 0) {
        add((block << WORDS_PER_BLOCK_SHIFT) + i, blockWords[i]);
      }
    }
  }

  /** Says that pages of so many blocks of one chunk are about to be added. May allocate. */
  void expectBlocks(int blocks) {
    if (blocks >= WordChunks.DENSE_BLOCKS) {
      changeToChunks();
    }
  }

  /** The list keeps its words until the chunks have them all. */
  private void changeToChunks() {
    if (isList()) {
      list.copyInto(chunks);
      words = chunks;
      list.clear();
    }
  }

  /**
   * Adds a range of pages.
   *
   * @param firstPage first page of the range
   * @param count number of pages, 0 or more
   * @return how many of them were not in the set before
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   */
  public long addRange(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    long before = size;
    long end = firstPage + count;
    for (long page = firstPage; page < end; page = (page | 63) + 1) {
      int wordIndex = BitmapLayout.wordOf(page);
      add(wordIndex, BitmapLayout.mask(wordIndex, firstPage, end));
    }
    return size - before;
  }

  /** Adds every page. */
  public void addAll() {
    chunks.fill(pageCount);
    words = chunks;
    list.clear();
    size = pageCount;
  }

  /**
   * Adds every page of another set.
   *
   * @param other the other set, with the same page count; it is not changed
   * @throws IllegalArgumentException if its page count is different; nothing is changed
   */
  public void addAll(PageSet other) {
    BitmapLayout.checkSamePageCount(pageCount, other);
    if (other == this) {
      return;
    }
    long added = isList() && other.isList() ? list.addAll(other.list) : -1;
    if (added < 0) {
      other.forEachWord(this::add);
    } else {
      size += added;
    }
  }

  /**
   * Removes pages of one word.
   *
   * @param wordIndex index of the word
   * @param bits the pages to remove
   * @return the bits of the pages that were in the set
   * @throws IndexOutOfBoundsException if there is no such word; nothing is changed
   */
  public long remove(int wordIndex, long bits) {
    long removed = bits & word(wordIndex);
    if (removed != 0) {
      words.remove(wordIndex, removed);
      shrink(Long.bitCount(removed));
    }
    return removed;
  }

  /** Counts pages that were removed; an empty set is a list again. */
  private void shrink(long removed) {
    size -= removed;
    if (size == 0) {
      list.clear();
      words = list;
    }
  }

  /**
   * Removes a range of pages.
   *
   * @param firstPage first page of the range
   * @param count number of pages, 0 or more
   * @return how many of them were in the set
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   */
  public long removeRange(long firstPage, long count) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    return move(firstPage, firstPage + count, Long.MAX_VALUE, null);
  }

  /**
   * Removes every page of another set.
   *
   * @param other the other set, with the same page count; it is not changed
   * @throws IllegalArgumentException if its page count is different; nothing is changed
   */
  public void removeAll(PageSet other) {
    BitmapLayout.checkSamePageCount(pageCount, other);
    if (other == this) {
      clear();
    } else if (isList() && other.isList()) {
      shrink(list.removeAll(other.list));
    } else {
      other.forEachWord(this::remove);
    }
  }

  /** Removes every page. Does not allocate. */
  public void clear() {
    words.clear();
    shrink(size);
  }

  /**
   * Moves pages of a range from this set to another, lowest first.
   *
   * @param firstPage first page of the range
   * @param count number of pages in the range, 0 or more
   * @param limit the most pages to move, 0 or more
   * @param into the set that gets them, another one with the same page count; if null, the pages
   *     are only removed
   * @return how many pages were moved
   * @throws IndexOutOfBoundsException if the range is not inside the set; nothing is changed
   * @throws IllegalArgumentException if {@code limit} is negative, or if {@code into} is this set
   *     or has a different page count; nothing is changed
   */
  public long moveRange(long firstPage, long count, long limit, @Nullable PageSet into) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    if (limit < 0) {
      throw new IllegalArgumentException("limit " + limit + " is negative");
    }
    if (into == this) {
      throw new IllegalArgumentException("pages cannot be moved into the set they come from");
    }
    if (into != null) {
      BitmapLayout.checkSamePageCount(pageCount, into);
    }
    return move(firstPage, firstPage + count, limit, into);
  }

  private long move(long firstPage, long end, long limit, @Nullable PageSet into) {
    if (firstPage == 0 && end == pageCount && size <= limit && into != null && into.isEmpty()) {
      return exchange(into);
    }
    return isList()
        ? moveWords(firstPage, end, limit, into)
        : moveChunks(firstPage, end, limit, into);
  }

  /** Moves everything to an empty set by exchanging what the two are made of. */
  private long exchange(PageSet empty) {
    WordChunks emptyChunks = empty.chunks;
    WordList emptyList = empty.list;
    empty.chunks = chunks;
    empty.list = list;
    empty.words = words;
    empty.size = size;
    chunks = emptyChunks;
    list = emptyList;
    words = emptyList;
    size = 0;
    return empty.size;
  }

  private long moveWords(long firstPage, long end, long limit, @Nullable PageSet into) {
    long left = limit;
    long page = words.nextSet(firstPage, end);
    while (page < end && left > 0) {
      int wordIndex = BitmapLayout.wordOf(page);
      long bits = words.word(wordIndex) & BitmapLayout.mask(wordIndex, page, end);
      long moved = BitmapLayout.lowest(bits, left);
      if (into != null) {
        into.add(wordIndex, moved); // before they are removed here, because it may fail
      }
      remove(wordIndex, moved);
      left -= Long.bitCount(moved);
      page = words.nextSet((page | 63) + 1, end);
    }
    return limit - left;
  }

  private long moveChunks(long firstPage, long end, long limit, @Nullable PageSet into) {
    long left = limit;
    long page = words.nextSet(firstPage, end);
    while (page < end && left > 0) {
      int chunkIndex = (int) (page >>> CHUNK_SHIFT);
      long chunkEnd = Math.min(end, (chunkIndex + 1L) << CHUNK_SHIFT);
      if (canMoveChunk(chunkIndex, firstPage, end, left, into)) {
        left -= moveChunk(chunkIndex, into);
      } else {
        left -= moveWords(page, chunkEnd, left, into);
      }
      page = words.nextSet(chunkEnd, end);
    }
    return limit - left;
  }

  /** Whether a chunk is all in the range and within the limit, and has its place free. */
  private boolean canMoveChunk(
      int chunkIndex, long firstPage, long end, long limit, @Nullable PageSet into) {
    long chunkStart = (long) chunkIndex << CHUNK_SHIFT;
    long chunkEnd = Math.min(pageCount, chunkStart + (1L << CHUNK_SHIFT));
    return firstPage <= chunkStart
        && chunkEnd <= end
        && limit >= 1L << CHUNK_SHIFT
        && chunks.isDense(chunkIndex)
        && (into == null || into.words.nextSet(chunkStart, chunkEnd) == chunkEnd);
  }

  private long moveChunk(int chunkIndex, @Nullable PageSet into) {
    long moved = chunks.count(chunkIndex);
    if (into == null) {
      chunks.clearChunk(chunkIndex);
    } else {
      into.changeToChunks(); // before anything moves, because it may fail
      chunks.moveChunk(chunkIndex, into.chunks);
      into.size += moved;
    }
    shrink(moved);
    return moved;
  }

  /**
   * Returns the highest page of the set that is not above a given page.
   *
   * @param pageIndex the page
   * @return that page, or -1 if there is none
   * @throws IndexOutOfBoundsException if there is no page {@code pageIndex}
   */
  public long floor(long pageIndex) {
    BitmapLayout.checkPage(pageIndex, pageCount);
    return words.floor(pageIndex);
  }

  /**
   * Returns the lowest page of the set that is not below a given page.
   *
   * @param pageIndex the page, 0 to {@link #pageCount()}
   * @return that page, or -1 if there is none
   * @throws IndexOutOfBoundsException if {@code pageIndex} is outside that range
   */
  public long nextPage(long pageIndex) {
    BitmapLayout.checkRange(pageIndex, 0, pageCount);
    long page = words.nextSet(pageIndex, pageCount);
    return page == pageCount ? -1 : page;
  }

  /**
   * Returns where the run of pages ends that begins at a given page.
   *
   * @param firstPage the page
   * @param end where to stop looking, {@code firstPage} to {@link #pageCount()}
   * @return the first page from {@code firstPage} on that is not in the set, or {@code end}
   * @throws IndexOutOfBoundsException if a value is outside that range
   */
  public long endOfRun(long firstPage, long end) {
    BitmapLayout.checkRange(firstPage, end - firstPage, pageCount);
    return words.nextClear(firstPage, end);
  }

  /**
   * Hands out the non-zero words, ascending. The sink may remove pages of the word that it was
   * given and of earlier ones, and must make no other change to this set.
   *
   * @param sink receives the words; whatever it throws passes through
   */
  public void forEachWord(PageWordConsumer sink) {
    words.forEachWord(sink);
  }

  /**
   * Hands out the pages as runs, ascending, each as long as possible. The consumer may remove pages
   * of the run that it was given and of earlier ones, and must make no other change to this set.
   *
   * @param consumer receives the runs; whatever it throws passes through
   */
  public void forEachRun(PageRunConsumer consumer) {
    forEachRun(0, pageCount, consumer);
  }

  /**
   * Hands out the pages of a range as runs, as {@link #forEachRun(PageRunConsumer)} does; no run
   * reaches past the end of the range. Does not allocate.
   *
   * @param firstPage first page of the range
   * @param count number of pages in the range, 0 or more
   * @param consumer receives the runs; whatever it throws passes through
   * @throws IndexOutOfBoundsException if the range is not inside the set
   */
  public void forEachRun(long firstPage, long count, PageRunConsumer consumer) {
    BitmapLayout.checkRange(firstPage, count, pageCount);
    words.forEachRun(firstPage, firstPage + count, consumer);
  }

  @Override
  public String toString() {
    return "PageSet[" + size + " of " + pageCount + " pages]";
  }
}
