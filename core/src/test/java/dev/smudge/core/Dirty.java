package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import java.util.BitSet;
import java.util.Map;
import java.util.TreeMap;

/** Takes dirty pages as plain sets. */
final class Dirty {
  private Dirty() {}

  /** Takes and acknowledges everything: pages by slot, slots without any left out. */
  static Map<Integer, BitSet> take(DirtyClient<GuestSlot> client) {
    Map<Integer, BitSet> taken = new TreeMap<>();
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      long[] sum = {0};
      batch.forEachRun((slot, first, count) -> {
        assertEquals(count * slot.pageSize(), slot.pages(first, count).byteSize());
        BitSet pages = taken.computeIfAbsent(slot.id(), id -> new BitSet());
        assertEquals(0, pages.get((int) first, (int) (first + count)).cardinality());
        pages.set((int) first, (int) (first + count));
        sum[0] += count;
      });
      assertEquals(batch.pageCount(), sum[0]);
      batch.commit();
    }
    return taken;
  }

  /** The pages of a range of guest addresses that is inside a slot. */
  static Map<Integer, BitSet> pages(GuestSlot slot, long address, long length) {
    Map<Integer, BitSet> pages = new TreeMap<>();
    add(pages, slot, address, length);
    return pages;
  }

  /** The pages of a range of guest addresses that is all in slots. */
  static Map<Integer, BitSet> pages(GuestMemory memory, long address, long length) {
    Map<Integer, BitSet> pages = new TreeMap<>();
    for (long done = 0; done < length; done++) {
      for (GuestSlot slot : memory.slots()) {
        long offset = address + done - slot.mapped.base;
        if (offset >= 0 && offset < slot.mapped.size) {
          add(pages, slot, address + done, 1);
        }
      }
    }
    return pages;
  }

  static void add(Map<Integer, BitSet> pages, GuestSlot slot, long address, long length) {
    if (length > 0) {
      long offset = address - slot.guestAddress();
      pages
          .computeIfAbsent(slot.id(), id -> new BitSet())
          .set(
              (int) (offset / slot.pageSize()),
              (int) ((offset + length - 1) / slot.pageSize()) + 1);
    }
  }
}
