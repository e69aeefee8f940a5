package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;

/** Takes dirty pages as plain sets. */
final class Dirty {
  private Dirty() {}

  /** Takes and acknowledges everything: the pages of slot 0. */
  static Set<Long> take(DirtyClient<LogSlot> client) {
    return take(client, 0);
  }

  /** Takes and acknowledges everything: the pages of one slot. */
  static Set<Long> take(DirtyClient<LogSlot> client, int slotId) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      Set<Long> pages = pages(batch, slotId);
      batch.commit();
      return pages;
    }
  }

  /** The pages of one slot, each of which the batch has once. */
  static Set<Long> pages(DirtyBatch<LogSlot> batch, int slotId) {
    Set<Long> pages = new TreeSet<>();
    batch.forEachRun((slot, first, count) -> {
      for (long p = first; slot.id() == slotId && p < first + count; p++) {
        assertTrue(pages.add(p), "twice: page " + p);
      }
    });
    return pages;
  }

  /** How many pages a vCPU has made dirty so far. */
  static long madeBy(LogVcpu vcpu) {
    return vcpu.state().pressure().counters().dirtyPages();
  }

  static Set<Long> range(long first, long end) {
    Set<Long> pages = new TreeSet<>();
    LongStream.range(first, end).forEach(pages::add);
    return pages;
  }
}
