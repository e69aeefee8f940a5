package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;

/** Collects words to clear into ranges for the backend. */
final class ClearBatch implements PageWordConsumer {
  private static final int WORDS = 64;
  private final DirtyLogBackend backend;
  private final LogSlot slot;
  private final long[] buffer = new long[WORDS];
  private int firstWord;
  private int length;
  boolean armed;

  ClearBatch(DirtyLogBackend backend, LogSlot slot) {
    this.backend = backend;
    this.slot = slot;
  }

  @Override
  public void accept(int wordIndex, long pages) {
    long bits = slot.cached.word(wordIndex) & pages;
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
    backend.clearDirtyLog(slot, firstPage, pageCount, buffer);
  }
}
