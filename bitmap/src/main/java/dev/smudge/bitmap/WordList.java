package dev.smudge.bitmap;

import java.util.Arrays;

/**
 * A sorted list of words: the form of a {@link PageSet} that holds few pages.
 *
 * <pre>
 *   indexes   2      7      30         word indexes, ascending
 *   bits      0x01   0      0xff00     bits[i] is word indexes[i]
 * </pre>
 *
 * <p>Words are added at the end, or by merging another list. A word whose bits have all been
 * removed stays in the list, as word 7 above, until the list is cleared. Callers mostly walk
 * forward, so a search begins where the last one ended and is a binary search only if the word is
 * not found near there.
 */
final class WordList implements PageWords {
  static final int MAX_LENGTH = 65_536;
  private static final int INITIAL_CAPACITY = 16;

  private final ArrayFactory arrays;
  private int length;
  private int[] indexes;
  private long[] bits;
  private int hint; // the position where the last search ended

  WordList(ArrayFactory arrays) {
    this.arrays = arrays;
    this.indexes = arrays.ints(INITIAL_CAPACITY);
    this.bits = arrays.longs(INITIAL_CAPACITY);
  }

  /** The position of the first word that is not below {@code wordIndex}, or the length. */
  private int position(int wordIndex) {
    int nearEnd = Math.min(hint + 2, length);
    for (int i = Math.max(0, hint - 1); i <= nearEnd; i++) {
      if ((i == length || indexes[i] >= wordIndex) && (i == 0 || indexes[i - 1] < wordIndex)) {
        hint = i;
        return i;
      }
    }
    int found = Arrays.binarySearch(indexes, 0, length, wordIndex);
    hint = found >= 0 ? found : -1 - found;
    return hint;
  }

  @Override
  public long word(int wordIndex) {
    int i = position(wordIndex);
    return i < length && indexes[i] == wordIndex ? bits[i] : 0;
  }

  /** Whether {@link #append} takes this word next. */
  boolean canAppend(int wordIndex) {
    return length == 0 || (wordIndex > indexes[length - 1] && length < MAX_LENGTH);
  }

  void append(int wordIndex, long word) {
    if (length == indexes.length) {
      grow(length + 1);
    }
    indexes[length] = wordIndex;
    bits[length] = word;
    length++;
  }

  /** Allocates both arrays before it changes either field, because the second may fail. */
  private void grow(int atLeast) {
    int capacity = Math.min(MAX_LENGTH, Math.max(atLeast, 2 * indexes.length));
    int[] newIndexes = arrays.ints(capacity);
    long[] newBits = arrays.longs(capacity);
    System.arraycopy(indexes, 0, newIndexes, 0, length);
    System.arraycopy(bits, 0, newBits, 0, length);
    indexes = newIndexes;
    bits = newBits;
  }

  @Override
  public void remove(int wordIndex, long removed) {
    bits[position(wordIndex)] &= ~removed;
  }

  /**
   * Adds the bits of another list if the two together are not too long. Allocates before its first
   * effect.
   *
   * @return how many bits were new, or -1 if the two are too long and nothing was changed
   */
  long addAll(WordList other) {
    int to = length + other.length;
    if (to > MAX_LENGTH) {
      return -1;
    }
    if (to > indexes.length) {
      grow(to);
    }
    // The merge runs from the end towards the start, in place: whatever is still to be read lies
    // below the position that is written next.
    long added = 0;
    int i = length - 1;
    int j = other.length - 1;
    while (j >= 0) {
      to--;
      if (i >= 0 && indexes[i] > other.indexes[j]) {
        indexes[to] = indexes[i];
        bits[to] = bits[i];
        i--;
      } else {
        long old = 0;
        if (i >= 0 && indexes[i] == other.indexes[j]) {
          old = bits[i];
          i--;
        }
        indexes[to] = other.indexes[j];
        bits[to] = old | other.bits[j];
        added += Long.bitCount(other.bits[j] & ~old);
        j--;
      }
    }
    closeGap(i + 1, to, length + other.length);
    return added;
  }

  /** Moves the merged words down to position {@code to}: each word that both had left a gap. */
  private void closeGap(int to, int from, int end) {
    System.arraycopy(indexes, from, indexes, to, end - from);
    System.arraycopy(bits, from, bits, to, end - from);
    length = to + end - from;
    hint = 0;
  }

  /** Removes the bits of another list and returns how many were set. */
  long removeAll(WordList other) {
    long removed = 0;
    int i = 0;
    int j = 0;
    while (i < length && j < other.length) {
      if (indexes[i] == other.indexes[j]) {
        removed += Long.bitCount(bits[i] & other.bits[j]);
        bits[i] &= ~other.bits[j];
        i++;
        j++;
      } else if (indexes[i] < other.indexes[j]) {
        i++;
      } else {
        j++;
      }
    }
    return removed;
  }

  /**
   * Copies everything into chunks that are empty. Every chunk is allocated before the first word is
   * copied: if an allocation fails, the chunks are still empty.
   */
  void copyInto(WordChunks chunks) {
    for (int i = 0; i < length; i++) {
      if (bits[i] != 0) {
        chunks.reserve(indexes[i]);
      }
    }
    for (int i = 0; i < length; i++) {
      if (bits[i] != 0) {
        chunks.add(indexes[i], bits[i]);
      }
    }
  }

  @Override
  public void clear() {
    length = 0;
    hint = 0;
  }

  @Override
  public long floor(long pageIndex) {
    int wordIndex = BitmapLayout.wordOf(pageIndex);
    int i = position(wordIndex);
    long found = i < length && indexes[i] == wordIndex ? bits[i] & (-1L >>> ~pageIndex) : 0;
    while (found == 0 && i > 0) {
      i--;
      wordIndex = indexes[i];
      found = bits[i];
    }
    return found == 0 ? -1 : BitmapLayout.highestPage(wordIndex, found);
  }

  @Override
  public long nextSet(long page, long end) {
    if (page >= end) {
      return end;
    }
    int endWord = BitmapLayout.wordOf(end - 1);
    for (int i = position(BitmapLayout.wordOf(page)); i < length && indexes[i] <= endWord; i++) {
      long found = bits[i] & BitmapLayout.mask(indexes[i], page, end);
      if (found != 0) {
        return BitmapLayout.lowestPage(indexes[i], found);
      }
    }
    return end;
  }

  @Override
  public long nextClear(long page, long end) {
    for (long at = page; at < end; at = (at | 63) + 1) {
      long clear = ~word(BitmapLayout.wordOf(at)) >>> at;
      if (clear != 0) {
        return Math.min(end, at + Long.numberOfTrailingZeros(clear));
      }
    }
    return end;
  }

  @Override
  public void forEachWord(PageWordConsumer sink) {
    for (int i = 0; i < length; i++) {
      if (bits[i] != 0) {
        sink.accept(indexes[i], bits[i]);
      }
    }
  }
}
