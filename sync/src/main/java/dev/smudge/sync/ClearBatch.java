package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import java.util.Arrays;

/**
 * Collects words to clear into ranges for the backend, or for a source. A call of the kernel's
 * costs as much as some hundred words: so ranges are long, and go on over words of which nothing is
 * to be cleared, which are zero. But one call is no more than 1 GiB in pages of 4 KiB, as QEMU has
 * it: the kernel holds a lock meanwhile that the guest needs for its first writes.
 */
final class ClearBatch implements PageWordConsumer {
  private static final int MAX_WORDS = 4096;
  private static final int MAX_GAP = 64;

  /** Clears bits: the backend, or a source. */
  interface Target {
    void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap);
  }

  private final Target target;
  private final LogSlot slot;
  private final PageSet cached; // what that one has told of
  private long[] buffer = new long[MAX_GAP];
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
    if (wordIndex - firstWord >= MAX_WORDS || wordIndex - firstWord - length > MAX_GAP) {
      flush();
    }
    if (length == 0) {
      firstWord = wordIndex;
    }
    int at = wordIndex - firstWord;
    if (at >= buffer.length) {
      buffer = Arrays.copyOf(buffer, Integer.highestOneBit(at) << 1);
    }
    Arrays.fill(buffer, length, at, 0L);
    buffer[at] = bits;
    length = at + 1;
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
