package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.SlotTracker;
import java.util.Arrays;

/**
 * Collects words to clear into ranges for a tracker. A call of the kernel's costs as much as some
 * hundred words, so ranges are long, and go on over words of which nothing is to be cleared, which
 * are zero. But one call covers at most 1 GiB of 4 KiB pages, as in QEMU: the kernel holds a lock
 * meanwhile that the guest needs for its first writes.
 */
final class ClearRanges {
  private static final int MAX_WORDS = 4096;
  private static final int MAX_GAP = 64;

  /** Clears one range: bit n of the bitmap is page {@code firstPage + n}. */
  interface Clear {
    void clear(long firstPage, long pageCount, long[] bitmap);
  }

  private final FetchedBits fetched;
  private final PageSet pages;
  private long[] buffer = new long[MAX_GAP];
  private int firstWord;
  private int length;
  private boolean any;

  ClearRanges(FetchedBits fetched, PageSet pages) {
    this.fetched = fetched;
    this.pages = pages;
  }

  /** Clears in the tracker. */
  void run() {
    SlotTracker part = fetched.part();
    run(part::clear);
  }

  void run(Clear target) {
    if (fetched.isEmpty()) {
      return;
    }
    pages.forEachWord((wordIndex, bits) -> accept(target, wordIndex, bits));
    flush(target);
  }

  /** Whether something was cleared, perhaps. */
  boolean hasCleared() {
    return any;
  }

  private void accept(Clear target, int wordIndex, long taken) {
    long bits = fetched.told().word(wordIndex) & taken;
    if (bits == 0) {
      return;
    }
    if (wordIndex - firstWord >= MAX_WORDS || wordIndex - firstWord - length > MAX_GAP) {
      flush(target);
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

  private void flush(Clear target) {
    if (length == 0) {
      return;
    }
    int words = length;
    length = 0;
    any = true;
    long firstPage = (long) firstWord << 6;
    target.clear(firstPage, Math.min((long) words << 6, pages.pageCount() - firstPage), buffer);
  }
}
