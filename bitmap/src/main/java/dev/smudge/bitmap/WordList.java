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
  private int hint; // where the last search ended: walks go forward

  /** The position of a word, or where it would be as {@code -1 - position}. */
  int find(int wordIndex) {
    for (int i = hint, tries = 0; tries < 2 && i < length; i++, tries++) {
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

  void clear() {
    length = 0;
    hint = 0;
  }
}
