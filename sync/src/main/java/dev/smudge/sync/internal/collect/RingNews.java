package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.ring.RingPageConsumer;
import java.util.Arrays;

/**
 * Tells all clients of pages that came out of rings: sorts them first, so that they reach the views
 * as words in ascending order, which costs what the pages cost, however large the slot. Under the
 * collector lock.
 */
final class RingNews implements RingPageConsumer {
  private static final int CAPACITY = 16_384;
  private static final int PAGE_BITS = 40; // a bitmap has fewer pages

  private final SlotTable slots;
  private long[] keys = new long[0]; // slot and page
  private int length;
  private boolean ascending = true;

  RingNews(SlotTable slots) {
    this.slots = slots;
  }

  @Override
  public void accept(int entryId, long pageIndex) {
    Slot slot = slots.ofEntry(entryId);
    if (slot == null || Long.compareUnsigned(pageIndex, slot.pageCount()) >= 0) {
      return; // of a slot that was there before, or forged
    }
    if (slot.views().leaving() != null) {
      slot.views().tellRange(pageIndex, 1);
      return;
    }
    if (length == CAPACITY) {
      tell();
    }
    if (length == keys.length) {
      keys = Arrays.copyOf(keys, CAPACITY); // by the first: most logs have no rings
    }
    long key = (long) slot.id() << PAGE_BITS | pageIndex;
    ascending &= length == 0 || keys[length - 1] <= key;
    keys[length] = key;
    length++;
  }

  /** Tells the clients of what has come so far. */
  void tell() {
    if (!ascending) {
      Arrays.sort(keys, 0, length);
    }
    for (int i = 0; i < length; ) {
      int slotId = (int) (keys[i] >>> PAGE_BITS);
      Slot slot = slots.find(slotId);
      if (slot == null) { // removed while there was no client
        i = skip(i, slotId);
        continue;
      }
      PageSet news = slot.views().news();
      i = collect(i, slot, news);
      slot.views().tell(news);
      news.clear();
    }
    clear();
  }

  /** Nobody is to be told any more. */
  void clear() {
    length = 0;
    ascending = true;
  }

  private int skip(int from, int slotId) {
    int i = from;
    while (i < length && (int) (keys[i] >>> PAGE_BITS) == slotId) {
      i++;
    }
    return i;
  }

  /** Puts the pages of a slot into a set; returns where the next slot begins. */
  private int collect(int from, Slot slot, PageSet news) {
    int i = from;
    while (i < length && (int) (keys[i] >>> PAGE_BITS) == slot.id()) {
      int word = (int) ((keys[i] & (1L << PAGE_BITS) - 1) >>> 6);
      long pages = 0;
      for (long key = keys[i] >>> 6; i < length && keys[i] >>> 6 == key; i++) {
        pages |= 1L << keys[i];
      }
      if ((long) word << 6 < slot.pageCount()) { // not if a smaller slot has the number by now
        news.add(word, pages);
      }
    }
    return i;
  }
}
