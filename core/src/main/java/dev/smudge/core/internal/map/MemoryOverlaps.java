package dev.smudge.core.internal.map;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.function.Function;

/** Finds the slots that are over some memory. */
final class MemoryOverlaps {
  /** What some slot is over: which memory, by identity, and from where to where in it. */
  record MemoryRange(Object memory, long from, long end) {}

  private record Entry(MappedSlot slot, MemoryRange range) {}

  /** Receives a slot, and a range of memory offsets that it has in common with what was asked. */
  interface OverlapConsumer {
    void accept(MappedSlot slot, long start, long end);
  }

  /** Slots of one memory, by where they begin. */
  private static final class Row {
    final List<Entry> slots = new ArrayList<>();
    long[] ends = new long[0]; // the greatest end so far

    void sort() {
      slots.sort(Comparator.comparingLong(entry -> entry.range.from));
      ends = new long[slots.size()];
      long end = Long.MIN_VALUE;
      for (int i = 0; i < ends.length; i++) {
        end = Math.max(end, slots.get(i).range.end);
        ends[i] = end;
      }
    }

    /** How many begin before an offset. */
    int before(long offset) {
      int low = 0;
      int high = slots.size();
      while (low < high) {
        int middle = (low + high) >>> 1;
        if (slots.get(middle).range.from < offset) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    }
  }

  private final IdentityHashMap<Object, Row> rows = new IdentityHashMap<>();

  MemoryOverlaps(Collection<MappedSlot> slots, Function<MappedSlot, MemoryRange> toRange) {
    for (MappedSlot slot : slots) {
      MemoryRange range = toRange.apply(slot);
      rows.computeIfAbsent(range.memory, memory -> new Row()).slots.add(new Entry(slot, range));
    }
    rows.values().forEach(Row::sort);
  }

  /** Refuses new slots over memory that another slot of the new map is over too. */
  static void refuseShared(MappedSlot[] all, Collection<MappedSlot> added) {
    MemoryOverlaps overlaps = new MemoryOverlaps(added, MappedSlot::addresses);
    long first = Long.MAX_VALUE;
    long last = Long.MIN_VALUE;
    for (MappedSlot slot : added) {
      first = Math.min(first, slot.ram.address());
      last = Math.max(last, slot.ram.address() + slot.size);
    }
    for (MappedSlot slot : all) {
      long address = slot.ram.address();
      if (address < last && address + slot.size > first) { // a quick no, for the many
        overlaps.forEachOverlap(
            slot.addresses(), (other, from, end) -> refuse(slot, other, from, end));
      }
    }
  }

  @SuppressWarnings("ReferenceEquality")
  private static void refuse(MappedSlot slot, MappedSlot other, long from, long end) {
    if (slot != other) {
      throw new IllegalArgumentException(
          slot
              + " and "
              + other
              + " have "
              + (end - from)
              + " bytes of memory in common, and a write through one would not be dirty in the"
              + " other: add memory once, and decode its other addresses to that slot");
    }
  }

  void forEachOverlap(MemoryRange with, OverlapConsumer consumer) {
    Row row = rows.get(with.memory);
    if (row == null) {
      return;
    }
    for (int i = row.before(with.end) - 1; i >= 0 && row.ends[i] > with.from; i--) {
      Entry entry = row.slots.get(i);
      long from = Math.max(with.from, entry.range.from);
      long end = Math.min(with.end, entry.range.end);
      if (from < end) {
        consumer.accept(entry.slot, from, end);
      }
    }
  }
}
