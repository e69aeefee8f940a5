package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;

/** What a consumer has of a guest's RAM: a copy of each slot, kept up to date with batches. */
final class Copies {
  private final Map<Integer, MemorySegment> bySlot = new TreeMap<>();

  /** Zeroes, as new RAM is. */
  Copies(GuestMemory memory) {
    memory
        .slots()
        .forEach(slot ->
            bySlot.put(slot.id(), MemorySegment.ofArray(new byte[Math.toIntExact(slot.size())])));
  }

  void copy(GuestSlot slot, long firstPage, MemorySegment content) {
    MemorySegment copy = bySlot.get(slot.id());
    MemorySegment.copy(content, 0, copy, firstPage * slot.pageSize(), content.byteSize());
  }

  /** Copies all of a batch; acknowledges nothing. */
  void copy(DirtyBatch<GuestSlot> batch) {
    batch.forEachRun((slot, first, count) -> copy(slot, first, slot.pages(first, count)));
  }

  /** Takes, copies and acknowledges everything; returns how many pages. */
  long take(DirtyClient<GuestSlot> client) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      long pages = batch.pageCount();
      copy(batch);
      batch.commit();
      return pages;
    }
  }

  /** The first byte that differs; empty if none does. */
  String difference(GuestMemory memory) {
    for (GuestSlot slot : memory.slots()) {
      long at = slot.ram().mismatch(bySlot.get(slot.id()));
      if (at >= 0) {
        return "page " + at / slot.pageSize() + ", byte " + at % slot.pageSize() + " of " + slot;
      }
    }
    return "";
  }

  void assertSame(GuestMemory memory, String when) {
    assertEquals("", difference(memory), () -> when + ": a write was lost");
  }
}
