package dev.smudge.kvm;

import static dev.smudge.kvm.KvmGuest.SLOT;
import static dev.smudge.kvm.KvmGuest.range;
import static dev.smudge.kvm.KvmGuest.set;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What the real kernel does with entries that are reset: gaps, forged ones, slots that are gone.
 */
@RequiresKvm
@Timeout(60)
class KvmRingResetFactsTest {
  @Test
  void reset_gap_stopsThere() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 1, 2, 3, 4);
      RawRing raw = RawRing.of(guest, arena);
      raw.flags(0, RingLayout.RESET);
      raw.flags(2, RingLayout.RESET);
      raw.flags(3, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      assertEquals(0, raw.flags(0));
      assertEquals(RingLayout.DIRTY, raw.flags(1));
      assertEquals(RingLayout.RESET, raw.flags(2));
      assertEquals(0, guest.vm.resetDirtyRings());
      raw.flags(1, RingLayout.RESET);
      assertEquals(3, guest.vm.resetDirtyRings());
      for (int entry = 0; entry < 4; entry++) {
        assertEquals(0, raw.flags(entry));
      }
    }
  }

  @Test
  void reset_dirtyAndReset_countsAsHarvested() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 1);
      RawRing raw = RawRing.of(guest, arena);
      raw.flags(0, RingLayout.DIRTY | RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      assertEquals(0, raw.flags(0));
    }
  }

  @Test
  void reset_forgedEntries_areCountedAndIgnored() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, range(0, 8));
      RawRing raw = RawRing.of(guest, arena);
      raw.forge(0, SLOT, 0);
      raw.forge(1, 0xFFFF, 0);
      raw.forge(2, 0xFFFF_FFFF, -1);
      raw.forge(3, 7, 3); // no such slot
      raw.forge(4, 1 << 16 | SLOT, 3); // address space 1
      raw.forge(5, SLOT, 64 + 64); // past the end
      raw.forge(6, SLOT, -1 << 20);
      raw.forge(7, SLOT, 7);
      assertEquals(8, guest.vm.resetDirtyRings());
      guest.write(2, range(0, 8));
      // Only what was named is armed again: pages 0 and 7.
      assertEquals(2, raw.count(RingLayout.DIRTY));
    }
  }

  /** The kernel drops all that it joined to one batch, also pages that there are. */
  @ParameterizedTest
  @ValueSource(longs = {0xFFFF_FFFF_FFFF_FFC1L, 64})
  void reset_forgedEntryJoinedToAnother_disarmsThatToo(long forged) {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      long near = forged == 64 ? 1 : 0; // at most 63 from it
      guest.write(1, (int) near, 20);
      RawRing raw = RawRing.of(guest, arena);
      raw.forge(0, SLOT, forged);
      raw.forge(1, SLOT, near);
      assertEquals(2, guest.vm.resetDirtyRings());
      guest.write(2, (int) near);
      assertEquals(0, raw.count(RingLayout.DIRTY));
    }
  }

  /** So an entry of a former, larger slot of the same id makes a page of the new one be lost. */
  @Test
  void reset_entryOfAFormerSlot_losesAPageOfTheNewOne() {
    try (KvmGuest guest = new KvmGuest(128, KvmGuest.ring(256)).log()) {
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      guest.write(1, 70);
      guest.vm.deleteSlot(SLOT);
      guest.vm.setSlot(
          SLOT, KvmVm.LOG_DIRTY_PAGES, KvmGuest.ADDRESS, guest.ram.asSlice(0, 64 * KvmGuest.PAGE));
      guest.write(2, 10);
      assertEquals(set(10, 70), guest.reap(pages, found));
      guest.write(3, 10);
      assertEquals(set(), guest.reap(pages, found));
    }
  }

  /** What helps: the rings are emptied between the two. */
  @Test
  void reset_ringsEmptiedBeforeTheIdIsUsedAgain_losesNothing() {
    try (KvmGuest guest = new KvmGuest(128, KvmGuest.ring(256)).log()) {
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      guest.write(1, 70);
      guest.vm.deleteSlot(SLOT);
      assertEquals(set(70), guest.reap(pages, found));
      guest.vm.setSlot(
          SLOT, KvmVm.LOG_DIRTY_PAGES, KvmGuest.ADDRESS, guest.ram.asSlice(0, 64 * KvmGuest.PAGE));
      guest.write(2, 10);
      assertEquals(set(10), guest.reap(pages, found));
      guest.write(3, 10);
      assertEquals(set(10), guest.reap(pages, found));
    }
  }

  @Test
  void reset_flagForgedOnAFreeEntry_countsIt() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      RawRing raw = RawRing.of(guest, arena);
      raw.flags(0, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(1, 5);
      assertEquals(RingLayout.DIRTY, raw.flags(0));
      raw.flags(0, RingLayout.RESET);
      // The kernel's place of the next reset is one ahead now: a gap for ever, until a full round.
      assertEquals(0, guest.vm.resetDirtyRings());
    }
  }

  @Test
  void reset_slotDeletedOrMadeAnew_countsAndIgnores() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5, 6);
      guest.vm.deleteSlot(SLOT);
      RawRing raw = RawRing.of(guest, arena);
      assertEquals(2, raw.count(RingLayout.DIRTY)); // they stay
      raw.flags(0, RingLayout.RESET);
      raw.flags(1, RingLayout.RESET);
      assertEquals(2, guest.vm.resetDirtyRings());
    }
  }

  @Test
  void reset_logSwitchedOff_countsAndIgnores() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5);
      guest.vm.setSlot(SLOT, 0, KvmGuest.ADDRESS, guest.ram);
      RawRing raw = RawRing.of(guest, arena);
      raw.flags(0, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(2, 6);
      assertEquals(0, raw.count(RingLayout.DIRTY));
    }
  }
}
