package dev.smudge.snapshot;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.snapshot.stream.PageRunEncoder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A state in the file of a {@link SnapshotStore}: what it has besides its parent. */
final class StoredState {
  /** A slot as it was. */
  record Geometry(int slotId, long pageCount, int pageBytes) {
    /** Whether there can be such a slot, and a store can have its pages. */
    boolean isPossible() {
      return pageCount >= 1
          && pageCount <= ArmableBitmap.MAX_PAGES
          && pageBytes >= 1
          && pageBytes <= PageRunEncoder.MAX_PAGE_BYTES;
    }

    // By hand: what the JDK links for a record at the first call is of no use ever after, where
    // the stack ends in that, and every save compares geometries.

    @Override
    public boolean equals(Object other) {
      return other instanceof Geometry that
          && slotId == that.slotId
          && pageCount == that.pageCount
          && pageBytes == that.pageBytes;
    }

    @Override
    public int hashCode() {
      return 31 * (31 * slotId + Long.hashCode(pageCount)) + pageBytes;
    }
  }

  /** Pages of a slot, ascending, and where they are. */
  static final class Pages {
    private static final int FIRST = 64;

    private long[] pages = new long[FIRST];
    private long[] places = new long[FIRST];
    private long[] before = {};
    private int count;

    void add(long page, long place) {
      if (count == pages.length) {
        places = Arrays.copyOf(places, 2 * count);
        pages = Arrays.copyOf(pages, 2 * count);
      }
      pages[count] = page;
      places[count] = place;
      count++;
    }

    int count() {
      return count;
    }

    long page(int index) {
      return pages[index];
    }

    long place(int index) {
      return places[index];
    }

    /** {@return where each page was in the parent, for {@link PlaceTable} to set} */
    long[] before() {
      if (before.length != count) {
        before = new long[count];
      }
      return before;
    }
  }

  final long number;
  final long parent; // -1: none
  final long millis;
  final String name;
  final List<Geometry> slots;
  final Map<Integer, Pages> pages = new HashMap<>();
  final long begin;

  long[] machine = {}; // where its records are
  long end;
  boolean deleted; // nothing but a parent of others

  StoredState(
      long number, long parent, long millis, String name, List<Geometry> slots, long begin) {
    this.number = number;
    this.parent = parent;
    this.millis = millis;
    this.name = name;
    this.slots = slots;
    this.begin = begin;
  }

  /** Adds a page that is at a place. Of each slot they come ascending. */
  void add(int slotId, long page, long place) {
    pages.computeIfAbsent(slotId, id -> new Pages()).add(page, place);
  }

  /** Adds a record with bytes of the machine. */
  void addMachine(long place) {
    machine = Arrays.copyOf(machine, machine.length + 1);
    machine[machine.length - 1] = place;
  }

  /** {@return how many pages it has} */
  long pageCount() {
    long sum = 0;
    for (Pages each : pages.values()) {
      sum += each.count();
    }
    return sum;
  }
}
