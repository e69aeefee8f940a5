package dev.smudge.core.internal.map;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;

/** Finds the slots that are over some memory. */
final class MemoryOverlaps {
  /** Receives a slot, and a range of memory offsets that it has in common with what was asked. */
  interface OverlapConsumer {
    void accept(MappedSlot slot, long start, long end);
  }

  /** Slots of one memory, by where they begin. */
  private static final class Row {
    final List<MappedSlot> slots = new ArrayList<>();
    long[] ends = new long[0]; // the greatest end so far

    void sort() {
      slots.sort(Comparator.comparingLong(slot -> slot.plan().memoryOffset()));
      ends = new long[slots.size()];
      long end = Long.MIN_VALUE;
      for (int i = 0; i < ends.length; i++) {
        end = Math.max(end, slots.get(i).plan().memoryEnd());
        ends[i] = end;
      }
    }

    /** How many begin before an offset. */
    int before(long offset) {
      int low = 0;
      int high = slots.size();
      while (low < high) {
        int middle = (low + high) >>> 1;
        if (slots.get(middle).plan().memoryOffset() < offset) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    }
  }

  private final IdentityHashMap<Object, Row> rows = new IdentityHashMap<>();

  MemoryOverlaps(Collection<MappedSlot> slots) {
    for (MappedSlot slot : slots) {
      rows.computeIfAbsent(slot.plan().memory(), memory -> new Row()).slots.add(slot);
    }
    rows.values().forEach(Row::sort);
  }

  void forEachOverlap(SlotPlan with, OverlapConsumer consumer) {
    Row row = rows.get(with.memory());
    if (row == null) {
      return;
    }
    long start = with.memoryOffset();
    long end = with.memoryEnd();
    for (int i = row.before(end) - 1; i >= 0 && row.ends[i] > start; i--) {
      MappedSlot slot = row.slots.get(i);
      long from = Math.max(start, slot.plan().memoryOffset());
      long to = Math.min(end, slot.plan().memoryEnd());
      if (from < to) {
        consumer.accept(slot, from, to);
      }
    }
  }
}
