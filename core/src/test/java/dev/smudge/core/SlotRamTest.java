package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.RemovedSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;

/** What RAM a slot has after steps of a transaction. */
@Timeout(120)
class SlotRamTest {
  private static final int PAGE = 256;
  private static final long BASE = 0x4000_0000L;

  private static MemorySegment heap(int pages) {
    return MemorySegment.ofArray(new long[pages * PAGE / 8]);
  }

  private static MemorySegment first(int pages, MemorySegment ram) {
    return ram.asSlice(0, (long) pages * PAGE);
  }

  /** Segments are equal if they begin at the same address. */
  @Test
  void replaceRam_shorterSegmentOfTheSameAddress_isTaken() {
    MemorySegment ram = heap(10);
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(5, BASE, ram, PAGE);
      memory.beginTransaction().resize(5, 6 * PAGE).commit().forEach(RemovedSlot<GuestSlot>::close);
      GuestSlot before = memory.slot(5);
      assertEquals(List.of(), memory.beginTransaction().replaceRam(5, first(6, ram)).commit());
      assertNotSame(before, memory.slot(5));
    }
  }

  @Test
  @EnabledIf(
      value = "dev.smudge.core.AnonymousRamTest#isGranted",
      disabledReason = "needs native access")
  void replaceRam_sameMemoryOfAnotherOwner_livesAsLongAsThatOne() {
    try (Arena owner = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      MemorySegment ram = owner.allocate(10 * PAGE);
      Arena first = Arena.ofShared();
      memory.addSlot(5, BASE, of(ram, first), PAGE);
      memory.beginTransaction().replaceRam(5, of(ram, owner)).commit();
      first.close();
      memory.device().putByte(BASE, (byte) 1);
      assertEquals(1, ram.get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  @SuppressWarnings("restricted") // granted
  private static MemorySegment of(MemorySegment ram, Arena owner) {
    return ram.reinterpret(owner, null);
  }

  @Test
  void merge_firstHasAShorterSegmentOfTheSameAddress_refused() {
    MemorySegment ram = heap(10);
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(5, BASE, ram, PAGE);
      try (SlotTransaction change = memory.beginTransaction()) {
        change.split(5, 4 * PAGE, 6).replaceRam(5, first(4, ram));
        assertThrows(IllegalArgumentException.class, () -> change.merge(5, 6));
        change.commit();
      }
      assertEquals(2, memory.slots().size());
    }
  }

  /** The gap between two parts is closed again, and they become one, in one transaction. */
  @Test
  void merge_ofAPartThatGrewAndOneInUse_keepsTheBytes() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(5, BASE, 10 * PAGE, PAGE);
      memory.device().fill(BASE, 10 * PAGE, (byte) 1);
      memory.beginTransaction().split(5, 6 * PAGE, 6).commit();
      memory.beginTransaction().resize(5, 4 * PAGE).commit().forEach(RemovedSlot<GuestSlot>::close);
      memory.beginTransaction().resize(6, 5 * PAGE).resize(5, 6 * PAGE).merge(5, 6).commit();
      byte[] bytes = new byte[11 * PAGE];
      memory.device().read(BASE, MemorySegment.ofArray(bytes));
      for (int i = 0; i < bytes.length; i++) {
        int page = i / PAGE;
        assertEquals(page == 4 || page == 5 || page == 10 ? 0 : 1, bytes[i], "byte " + i);
      }
    }
  }

  @Test
  void commit_failsWhenRamIsThere_canBeTriedAgain() {
    FaultyTracker[] backend = new FaultyTracker[1];
    try (GuestMemory memory =
            GuestMemory.over(
                LogKind.BITMAP
                    .builder()
                    .interceptTracker(software -> backend[0] = new FaultyTracker(software))
                    .build());
        SlotTransaction change = memory.beginTransaction().add(5, BASE, PAGE, PAGE)) {
      backend[0].untilFault = 1;
      assertThrows(FaultyTracker.Fault.class, change::commit);
      assertEquals(List.of(), memory.slots());
      change.commit();
      memory.device().putByte(BASE, (byte) 1);
    }
  }
}
