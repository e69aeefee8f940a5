package dev.smudge.bitmap;

/** Receives non-zero 64-page words of a bitmap, in ascending order. */
@FunctionalInterface
public interface PageWordConsumer {
  /**
   * Called once a word.
   *
   * @param wordIndex index of the word: its bit 0 is page {@code 64 * wordIndex}
   * @param bits the word, never 0
   */
  void accept(int wordIndex, long bits);
}
