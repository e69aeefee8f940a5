package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;

/** A log whose slots change, and what is dirty in it. */
abstract class SlotChangeCase {
  static final int PAGE = 4096;
  final TestTracker backend = new TestTracker();
  final Mode mode;
  final DirtyLog log;
  final GuestThread guest = new GuestThread("guest");

  SlotChangeCase(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().interceptTracker(backend::over).errorHandler(e -> {}).build();
  }

  @AfterEach
  void end() {
    guest.close();
  }

  /** "slot:page" of what is dirty. */
  static Set<String> take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      Set<String> pages = pages(batch);
      batch.commit();
      return pages;
    }
  }

  static Set<String> pages(DirtyBatch<LogSlot> batch) {
    Set<String> pages = new TreeSet<>();
    batch.forEachRun((slot, first, count) -> add(pages, slot, first, count));
    return pages;
  }

  static Set<String> pages(RemovedSlot<LogSlot> removed) {
    Set<String> pages = new TreeSet<>();
    removed.forEachRun((slot, first, count) -> add(pages, slot, first, count));
    assertEquals(pages.size(), removed.dirtyPages());
    return pages;
  }

  static void add(Set<String> pages, LogSlot slot, long first, long count) {
    for (long page = first; page < first + count; page++) {
      assertTrue(pages.add(slot.id() + ":" + page));
    }
  }

  static Set<String> range(int slot, long first, long end) {
    Set<String> pages = new TreeSet<>();
    for (long page = first; page < end; page++) {
      pages.add(slot + ":" + page);
    }
    return pages;
  }

  /** A change that replaces a slot by one of the same memory. */
  SlotChange replace(LogSlot slot, int newId) {
    SlotChange change = log.change().remove(slot);
    LogSlot to = change.add(newId, slot.pageCount(), PAGE);
    return change.carry(slot, 0, to, 0, slot.pageCount());
  }
}
