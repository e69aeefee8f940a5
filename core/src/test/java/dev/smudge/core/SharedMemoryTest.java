package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Memory belongs to one slot at a time, and a log to one memory. */
@Timeout(60)
class SharedMemoryTest {
  private static final int PAGE = 4096;

  private static IllegalArgumentException refused(Runnable what) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, what::run);
    assertTrue(e.toString().contains("memory in common"), e::toString);
    return e;
  }

  private static void everyWay(MemorySegment ram) {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, ram.asSlice(0, 4 * PAGE), PAGE);
      MemorySegment last = ram.asSlice(3 * PAGE, 2 * PAGE);
      IllegalArgumentException e = refused(() -> memory.addSlot(1, 0x10_0000, last, PAGE));
      assertTrue(e.toString().contains("GuestSlot[0,"), e::toString);
      assertTrue(e.toString().contains("GuestSlot[1,"), e::toString);
      assertTrue(e.toString().contains(" 4096 bytes"), e::toString);
      refused(() -> memory.addSlot(1, 0x10_0000, ram.asSlice(4 * PAGE - 8, PAGE), PAGE));
      memory.addSlot(1, 0x10_0000, ram.asSlice(4 * PAGE, 2 * PAGE), PAGE); // beside it
      try (SlotTransaction change = memory.beginTransaction()) {
        change.replaceRam(1, last);
        refused(change::commit);
        change.remove(0).commit().forEach(RemovedSlot::close); // and now it is free
      }
      try (SlotTransaction change = memory.beginTransaction()) {
        change.add(2, 0x20_0000, ram.asSlice(0, 2 * PAGE), PAGE);
        change.add(3, 0x30_0000, ram.asSlice(PAGE, 2 * PAGE), PAGE);
        refused(change::commit);
      }
      assertEquals(1, memory.slots().size());
      memory.beginTransaction().move(1, 0x40_0000).commit().forEach(RemovedSlot::close);
    }
  }

  @Test
  void twoSlotsOverTheSameMemory_nativeRam_refused() {
    try (Arena arena = Arena.ofShared()) {
      everyWay(arena.allocate(8 * PAGE, PAGE));
    }
  }

  @Test
  void twoSlotsOverTheSameMemory_array_refused() {
    everyWay(MemorySegment.ofArray(new long[8 * PAGE / 8]));
  }

  @Test
  void twoSlotsOverTheSameMemory_theSegmentOfRamOfOurOwn_refused() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot own = memory.addSlot(0, 0, 4 * PAGE);
      refused(() -> memory.addSlot(1, 0x10_0000, own.ram().asSlice(PAGE, PAGE), PAGE));
      memory.removeSlot(0).close();
    }
  }

  /** What is carried begins in the middle of a page of the new slot: two pages for each. */
  @Test
  void replaceRam_oldMemoryBeginsInsideAPageOfTheNew_bothPagesAreDirty() {
    MemorySegment ram = MemorySegment.ofArray(new long[5 * PAGE / 8]);
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, ram.asSlice(PAGE / 2, 3 * PAGE), PAGE);
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      memory.device().putByte(PAGE - 1, (byte) 1); // of the old page 0, of the new page 1
      try (SlotTransaction change = memory.beginTransaction()) {
        change.replaceRam(0, ram).commit().forEach(RemovedSlot::close);
      }
      Set<Long> pages = new TreeSet<>();
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        batch.forEachRun((slot, first, count) -> {
          for (long page = first; page < first + count; page++) {
            pages.add(page);
          }
        });
        batch.commit();
      }
      assertTrue(pages.contains(1L), pages.toString());
    }
  }

  @Test
  void over_logOfAnotherMemoryOrWithSlots_refused() {
    DirtyLog log = DirtyLog.create();
    try (GuestMemory memory = GuestMemory.over(log)) {
      memory.addSlot(0, 0, PAGE);
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> GuestMemory.over(log));
      assertTrue(e.toString().contains("make a log for each"), e::toString);
      e = assertThrows(IllegalStateException.class, () -> log.addSlot(1, 1, PAGE));
      assertTrue(e.toString().contains("a GuestMemory changes the slots"), e::toString);
      assertThrows(IllegalStateException.class, log::change);
      memory.device().putByte(0, (byte) 1); // all is as it was
      assertEquals(1, memory.slots().size());
    }
    assertThrows(IllegalStateException.class, () -> GuestMemory.over(log)); // closed
    try (DirtyLog used = DirtyLog.create()) {
      used.addSlot(7, 1, PAGE);
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> GuestMemory.over(used));
      assertTrue(e.toString().contains("slots already"), e::toString);
      assertTrue(e.toString().contains("[7]"), e::toString);
      used.addSlot(8, 1, PAGE);
    }
  }
}
