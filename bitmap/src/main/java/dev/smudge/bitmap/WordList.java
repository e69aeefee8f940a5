package dev.smudge.bitmap;

import java.util.Arrays;

/**
 * Words of a page set in ascending order, in two arrays: how a {@link PageSet} with few pages is
 * kept. Words are appended in order; a word whose bits are all gone stays until the list is
 * emptied.
 */
final class WordList {
  static final int MAX_LENGTH = 8192;

  int length;
  int[] indexes = new int[16];
  long[] bits = new long[16];
  private int hint; // where the last search ended: walks go forward, with a step back at times

  /** The position of a word, or where it would be as {@code -1 - position}. */
  int find(int wordIndex) {
    for (int i = Math.max(0, hint - 1); i <= hint + 1 && i < length; i++) {
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
