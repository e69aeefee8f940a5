package dev.smudge.bitmap;

import static dev.smudge.bitmap.BitmapLayout.BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.CHUNK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_BLOCK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_CHUNK;
import static dev.smudge.bitmap.BitmapLayout.WORDS_PER_CHUNK_SHIFT;
import static dev.smudge.bitmap.BitmapLayout.WORD_SHIFT;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Words in chunks of 4 KiB, which stand for 32,768 pages each: the form of a {@link PageSet} that
 * holds many pages.
 *
 * <pre>
 *   summary   0b101     0        -1        one word per chunk, one bit per block of 8 words
 *   chunks    long[]    null     FULL
 * </pre>
 *
 * <p>A summary bit is set if and only if its block has a page. The words of a block without a page
 * are whatever they were left as: nobody looks at them, and the first page that comes sets all
 * eight. So clearing a chunk costs one store, however many pages it had. Chunks are allocated as
 * they are needed and kept for reuse. All full chunks share one array, which is never written: a
 * chunk that stops being full gets an array of its own first.
 *
 * <p>Every method that allocates does so before its first effect.
 */
final class WordChunks implements PageWords {
  /** From this many blocks on, moving a whole chunk costs less than moving its words. */
  static final int DENSE_BLOCKS = 16;

  /** A chunk of which all pages are in the set; never written. */
  private static final long[] FULL = newFullChunk();

  private final ArrayFactory arrays;
  private final int wordCount;
  private final long[] @Nullable [] chunks;
  private final long[] summary;

  WordChunks(int wordCount, ArrayFactory arrays) {
    this.arrays = arrays;
    this.wordCount = wordCount;
    this.summary = new long[BitmapLayout.summaryWords(wordCount)];
    this.chunks = new long[summary.length][];
  }

  private static long[] newFullChunk() {
    long[] full = new long[WORDS_PER_CHUNK];
    Arrays.fill(full, -1L);
    return full;
  }

  @SuppressWarnings("ReferenceEquality") // all full chunks are this array
  private static boolean isFull(long @Nullable [] chunk) {
    return chunk == FULL;
  }

  @Override
  public long word(int wordIndex) {
    int chunkIndex = wordIndex >>> WORDS_PER_CHUNK_SHIFT;
    long[] chunk = chunks[chunkIndex];
    boolean isOpen = (summary[chunkIndex] >>> (wordIndex >>> WORDS_PER_BLOCK_SHIFT) & 1) != 0;
    return isOpen && chunk != null ? chunk[wordIndex & WORDS_PER_CHUNK - 1] : 0;
  }

  /** Allocates what {@link #add} needs for a word, so that it cannot fail afterwards. */
  void reserve(int wordIndex) {
    writable(wordIndex >>> WORDS_PER_CHUNK_SHIFT);
  }

  /** Adds bits of a word, at least one. */
  void add(int wordIndex, long bits) {
    int chunkIndex = wordIndex >>> WORDS_PER_CHUNK_SHIFT;
    int inChunk = wordIndex & WORDS_PER_CHUNK - 1;
    long[] chunk = writable(chunkIndex);
    long blockBit = 1L << (wordIndex >>> WORDS_PER_BLOCK_SHIFT);
    if ((summary[chunkIndex] & blockBit) == 0) {
      int from = inChunk & -WORDS_PER_BLOCK;
      for (int i = from; i < from + WORDS_PER_BLOCK; i++) {
        chunk[i] = 0;
      }
      summary[chunkIndex] |= blockBit;
    }
    chunk[inChunk] |= bits;
  }

  /**
   * Adds the pages of a block, of which there is at least one.
   *
   * @param block index of the block
   * @param words its eight words
   * @return how many pages were new
   */
  int addBlock(int block, long[] words) {
    int chunkIndex = block >>> WORD_SHIFT;
    long[] chunk = writable(chunkIndex);
    int from = block << WORDS_PER_BLOCK_SHIFT & WORDS_PER_CHUNK - 1;
    int added = 0;
    if ((summary[chunkIndex] & 1L << block) == 0) {
      for (int i = 0; i < WORDS_PER_BLOCK; i++) {
        chunk[from + i] = words[i];
        added += Long.bitCount(words[i]);
      }
      summary[chunkIndex] |= 1L << block;
      return added;
    }
    for (int i = 0; i < WORDS_PER_BLOCK; i++) {
      long old = chunk[from + i];
      chunk[from + i] = old | words[i];
      added += Long.bitCount(words[i] & ~old);
    }
    return added;
  }

  /** Also allocates, where a full chunk stops being full. */
  @Override
  public void remove(int wordIndex, long bits) {
    int chunkIndex = wordIndex >>> WORDS_PER_CHUNK_SHIFT;
    long[] chunk = writable(chunkIndex);
    int inChunk = wordIndex & WORDS_PER_CHUNK - 1;
    chunk[inChunk] &= ~bits;
    if (chunk[inChunk] == 0 && isBlockEmpty(chunk, inChunk & -WORDS_PER_BLOCK)) {
      summary[chunkIndex] &= ~(1L << (wordIndex >>> WORDS_PER_BLOCK_SHIFT));
    }
  }

  private long[] writable(int chunkIndex) {
    long[] chunk = chunks[chunkIndex];
    if (chunk != null && !isFull(chunk)) {
      return chunk;
    }
    long[] own = arrays.longs(WORDS_PER_CHUNK);
    if (chunk != null) {
      Arrays.fill(own, -1L);
    }
    chunks[chunkIndex] = own;
    return own;
  }

  private static boolean isBlockEmpty(long[] chunk, int from) {
    long all = 0;
    for (int i = 0; i < WORDS_PER_BLOCK; i++) {
      all |= chunk[from + i];
    }
    return all == 0;
  }

  /** Adds all pages. */
  void fill(long pageCount) {
    int fullChunks = (int) (pageCount >>> CHUNK_SHIFT);
    if (fullChunks < chunks.length) {
      // The last chunk comes first: it is the only one that may have to be allocated.
      reserve(wordCount - 1);
      for (int w = fullChunks << WORDS_PER_CHUNK_SHIFT; w < wordCount; w++) {
        add(w, BitmapLayout.mask(w, 0, pageCount));
      }
    }
    Arrays.fill(chunks, 0, fullChunks, FULL);
    Arrays.fill(summary, 0, fullChunks, -1L);
  }

  @Override
  public void clear() {
    for (int i = 0; i < summary.length; i++) {
      if (summary[i] != 0) {
        clearChunk(i);
      }
    }
  }

  /** Removes the pages of one chunk. Does not allocate. */
  void clearChunk(int chunkIndex) {
    summary[chunkIndex] = 0;
    if (isFull(chunks[chunkIndex])) {
      chunks[chunkIndex] = null;
    }
  }

  /** Whether so many blocks of a chunk have pages that it is better moved as a whole. */
  boolean isDense(int chunkIndex) {
    return Long.bitCount(summary[chunkIndex]) >= DENSE_BLOCKS;
  }

  /** How many pages of a chunk are in the set. */
  long count(int chunkIndex) {
    long[] chunk = chunks[chunkIndex];
    if (chunk == null || isFull(chunk)) {
      return chunk == null ? 0 : 1L << CHUNK_SHIFT;
    }
    long count = 0;
    for (long blocks = summary[chunkIndex]; blocks != 0; blocks &= blocks - 1) {
      int from = Long.numberOfTrailingZeros(blocks) << WORDS_PER_BLOCK_SHIFT;
      for (int i = from; i < from + WORDS_PER_BLOCK; i++) {
        count += Long.bitCount(chunk[i]);
      }
    }
    return count;
  }

  /**
   * Moves one chunk to other chunks, which hold nothing there, by exchanging the two arrays. Does
   * not allocate.
   */
  void moveChunk(int chunkIndex, WordChunks into) {
    long[] empty = into.chunks[chunkIndex];
    into.chunks[chunkIndex] = chunks[chunkIndex];
    into.summary[chunkIndex] = summary[chunkIndex];
    chunks[chunkIndex] = empty;
    summary[chunkIndex] = 0;
  }

  @Override
  public long floor(long pageIndex) {
    int wordIndex = BitmapLayout.wordOf(pageIndex);
    long found = word(wordIndex) & (-1L >>> ~pageIndex);
    while (found == 0) {
      wordIndex--;
      if (wordIndex < 0) {
        return -1;
      }
      if (summary[wordIndex >>> WORDS_PER_CHUNK_SHIFT] == 0) {
        wordIndex &= -WORDS_PER_CHUNK; // the first word of a chunk without pages
      }
      found = word(wordIndex);
    }
    return BitmapLayout.highestPage(wordIndex, found);
  }

  @Override
  public long nextSet(long page, long end) {
    long at = page;
    while (at < end) {
      int wordIndex = BitmapLayout.wordOf(at);
      int block = wordIndex >>> WORDS_PER_BLOCK_SHIFT;
      long ahead = summary[block >>> WORD_SHIFT] >>> block;
      if (ahead == 0) {
        at = (long) ((block | 63) + 1) << BLOCK_SHIFT;
      } else if ((ahead & 1) == 0) {
        at = (long) (block + Long.numberOfTrailingZeros(ahead)) << BLOCK_SHIFT;
      } else {
        long found = word(wordIndex) >>> at;
        if (found != 0) {
          return Math.min(end, at + Long.numberOfTrailingZeros(found));
        }
        at = (at | 63) + 1;
      }
    }
    return end;
  }

  @Override
  public long nextClear(long page, long end) {
    long at = page;
    while (at < end) {
      int chunkIndex = (int) (at >>> CHUNK_SHIFT);
      if (isFull(chunks[chunkIndex])) {
        at = (chunkIndex + 1L) << CHUNK_SHIFT;
        continue;
      }
      long clear = ~word(BitmapLayout.wordOf(at)) >>> at;
      if (clear != 0) {
        return Math.min(end, at + Long.numberOfTrailingZeros(clear));
      }
      at = (at | 63) + 1;
    }
    return end;
  }

  @Override
  public void forEachWord(PageWordConsumer sink) {
    for (int s = 0; s < summary.length; s++) {
      for (long blocks = summary[s]; blocks != 0; blocks &= blocks - 1) {
        handOutBlock((s << WORD_SHIFT) + Long.numberOfTrailingZeros(blocks), sink);
      }
    }
  }

  private void handOutBlock(int block, PageWordConsumer sink) {
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
