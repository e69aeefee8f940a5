package dev.smudge.bitmap;

import java.util.Arrays;

/**
 * Words of a page set in ascending order, in two arrays: how a {@link PageSet} with few pages is
 * kept. Words are appended in order; a word whose bits are all gone stays until the list is
 * emptied.
 */
final class WordList {
  static final int MAX_LENGTH = 65_536;

  int length;
  int[] indexes = new int[16];
  long[] bits = new long[16];
  private int hint; // where the last search ended: walks go forward, with a step back at times

  /** The position of a word, or where it would be as {@code -1 - position}. */
  int find(int wordIndex) {
    if (hint + 1 < length && indexes[hint + 1] == wordIndex) {
      hint++;
      return hint;
    }
    for (int i = Math.max(0, hint - 1); i <= hint && i < length; i++) {
      if (indexes[i] == wordIndex) {
        hint = i;
        return i;
      }
    }
    int found = Arrays.binarySearch(indexes, 0, length, wordIndex);
    hint = found >= 0 ? found : -1 - found;
    return found;
  }

  /** Whether {@link #append} takes this word next. */
  boolean canAppend(int wordIndex) {
    return length == 0 || (wordIndex > indexes[length - 1] && length < MAX_LENGTH);
  }

  void append(int wordIndex, long word) {
    if (length == indexes.length) {
      indexes = Arrays.copyOf(indexes, 2 * length);
      bits = Arrays.copyOf(bits, 2 * length);
    }
    indexes[length] = wordIndex;
    bits[length] = word;
    length++;
  }

  /**
   * Adds the bits of another list, if both together are not too long.
   *
   * @return how many bits were new; negative if they are too long: then nothing was changed
   */
  long addAll(WordList other) {
    if (length + other.length > MAX_LENGTH) {
      return -1;
    }
    long news = 0;
    int to = length + other.length;
    if (to > indexes.length) {
      int capacity = Math.max(to, 2 * indexes.length);
      indexes = Arrays.copyOf(indexes, capacity);
      bits = Arrays.copyOf(bits, capacity);
    }
    // From the end on, in place: what is still to be read lies before what is written.
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
        news += Long.bitCount(other.bits[j] & ~old);
        j--;
      }
    }
    // Of 0 to i nothing moves; words that both had leave a gap above i.
    int moved = length + other.length - to;
    System.arraycopy(indexes, to, indexes, i + 1, moved);
    System.arraycopy(bits, to, bits, i + 1, moved);
    length = i + 1 + moved;
    hint = 0;
    return news;
  }

  /** Removes the bits of another list; returns how many were there. */
  long removeAll(WordList other) {
    long gone = 0;
    int i = 0;
    int j = 0;
    while (i < length && j < other.length) {
      if (indexes[i] == other.indexes[j]) {
        gone += Long.bitCount(bits[i] & other.bits[j]);
        bits[i] &= ~other.bits[j];
        i++;
        j++;
      } else if (indexes[i] < other.indexes[j]) {
        i++;
      } else {
        j++;
      }
    }
    return gone;
  }

  void clear() {
    length = 0;
    hint = 0;
  }
}
