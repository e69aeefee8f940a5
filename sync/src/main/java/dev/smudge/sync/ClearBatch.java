package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;

/** Collects words to clear into ranges for the backend, or for a source. */
final class ClearBatch implements PageWordConsumer {
  private static final int WORDS = 64;

  /** Clears bits: the backend, or a source. */
  interface Target {
    void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap);
  }

  private final Target target;
  private final LogSlot slot;
  private final PageSet cached; // what that one has told of
  private final long[] buffer = new long[WORDS];
  private int firstWord;
  private int length;
  boolean armed;

  ClearBatch(LogSlot slot, PageSet cached, Target target) {
    this.slot = slot;
    this.cached = cached;
    this.target = target;
  }

  @Override
  public void accept(int wordIndex, long pages) {
    long bits = cached.word(wordIndex) & pages;
    if (bits == 0) {
      return;
    }
    if (length == WORDS || wordIndex != firstWord + length) {
      flush();
      firstWord = wordIndex;
    }
    buffer[length] = bits;
    length++;
  }

  void flush() {
    if (length == 0) {
      return;
    }
    int words = length;
    length = 0;
    armed = true;
    long firstPage = (long) firstWord << 6;
    long pageCount = Math.min((long) words << 6, slot.pageCount() - firstPage);
    target.clearDirtyLog(slot, firstPage, pageCount, buffer);
  }
}
