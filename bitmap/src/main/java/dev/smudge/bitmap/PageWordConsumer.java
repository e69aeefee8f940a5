package dev.smudge.bitmap;

/** Receives the non-zero 64-page words of a bitmap or a page set, in ascending order. */
@FunctionalInterface
public interface PageWordConsumer {
  /**
   * Receives one word.
   *
   * @param wordIndex index of the word: its bit 0 is page {@code 64 * wordIndex}
   * @param bits the word, never 0
   */
  void accept(int wordIndex, long bits);
}
