package dev.smudge.kvm;

import static dev.smudge.kvm.KvmFactsTest.refused;
import static dev.smudge.kvm.KvmGuest.SLOT;
import static dev.smudge.kvm.KvmGuest.range;
import static dev.smudge.kvm.KvmGuest.set;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.smudge.kvmguest.PageWriter;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the real kernel does with dirty rings. */
@RequiresKvm
@Timeout(60)
class KvmRingFactsTest {
  private static final int ENTRIES = 1024;
  private static int reserve; // measured: x86 with PML has 512 more than one without

  @BeforeAll
  static void measureReserve() {
    try (KvmGuest guest = new KvmGuest(ENTRIES, KvmGuest.ring(ENTRIES)).log();
        Arena arena = Arena.ofConfined()) {
      guest.order(1, range(0, ENTRIES));
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      reserve = ENTRIES - RawRing.of(guest, arena).count(RingLayout.DIRTY);
    }
  }

  // Size

  @Test
  void enable_sizes_errors() {
    try (Kvm kvm = Kvm.open();
        KvmVm vm = kvm.createVm()) {
      refused("EINVAL", () -> vm.capabilities().enableDirtyRingBytes(true, 0));
      refused("EINVAL", () -> vm.capabilities().enableDirtyRingBytes(true, 2048));
      refused("EINVAL", () -> vm.capabilities().enableDirtyRingBytes(true, 3 * 4096));
      refused("E2BIG", () -> vm.enableDirtyRing(kvm.maxRingEntries() * 2));
      assertEquals(65_536, kvm.maxRingEntries());
      assertThrows(IllegalArgumentException.class, () -> vm.enableDirtyRing(128));
      assertThrows(IllegalArgumentException.class, () -> vm.enableDirtyRing(1000));
      assertEquals(0, vm.ringEntries());
      vm.enableDirtyRing(kvm.maxRingEntries());
      refused("EINVAL", () -> vm.enableDirtyRing(ENTRIES));
      assertEquals(65_536, vm.ringEntries());
    }
  }

  @Test
  void enable_afterTheFirstVcpu_isRefused() {
    try (Kvm kvm = Kvm.open();
        KvmVm vm = kvm.createVm()) {
      vm.createVcpu(0);
      refused("EINVAL", () -> vm.enableDirtyRing(ENTRIES));
      refused("EINVAL", vm::resetDirtyRings);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {256, 1024, 4096})
  void full_anySize_leavesTheSameReserve(int size) {
    try (KvmGuest guest = new KvmGuest(size, KvmGuest.ring(size)).log();
        Arena arena = Arena.ofConfined()) {
      guest.order(1, range(0, size));
      int expected = size - reserve;
      assumeTrue(expected > 0, "the reserve is larger than the ring: nothing would run");
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      assertEquals(expected, RawRing.of(guest, arena).count(RingLayout.DIRTY));
      assertTrue(reserve >= 64, () -> "reserve " + reserve);
    }
  }

  // Full

  @Test
  void run_full_comesBackUntilAReset() {
    try (KvmGuest guest = new KvmGuest(ENTRIES, KvmGuest.ring(ENTRIES)).log()) {
      guest.order(1, range(0, ENTRIES));
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      int written = written(guest, 1);
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      assertEquals(0, guest.vm.resetDirtyRings()); // nothing is harvested yet
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      assertEquals(written, written(guest, 1));
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      int harvested = guest.vcpu.ring().harvester().harvest(pages);
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      assertEquals(harvested, guest.vm.resetDirtyRings());
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
      assertEquals(ENTRIES, written(guest, 1));
    }
  }

  private static int written(KvmGuest guest, long iteration) {
    int count = 0;
    for (int page = 0; page < guest.pages; page++) {
      count += guest.valueOf(page) == iteration ? 1 : 0;
    }
    return count;
  }

  @Test
  void full_entriesAreNotPages_theSetIsWhatCounts() {
    try (KvmGuest guest = new KvmGuest(3000, KvmGuest.ring(ENTRIES)).log()) {
      guest.order(1, range(0, 3000));
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      int fullExits = 0;
      while (guest.vcpu.run() == RunLayout.EXIT_DIRTY_RING_FULL) {
        fullExits++;
        BitSet before = guest.reap(pages, found);
        // The last entry may name a write that has not happened yet, and comes again.
        int last = (int) (long) found.getLast();
        assertTrue(before.get(last));
      }
      guest.reap(pages, found);
      BitSet set = new BitSet();
      found.forEach(page -> set.set((int) (long) page));
      assertEquals(set(range(0, 3000)), set);
      assertTrue(fullExits >= 3, () -> "a ring of 1,024 has to fill");
      assertTrue(
          found.size() >= 3000 && found.size() <= 3000 + 2 * fullExits,
          () -> found.size() + " entries");
    }
  }

  // Entries

  @Test
  void entry_written_isDirtyWithItsSlotAndPage() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5, 63);
      RawRing raw = RawRing.of(guest, arena);
      assertEquals(RingLayout.DIRTY, raw.flags(0));
      assertEquals(SLOT, raw.slotId(0));
      assertEquals(5, raw.page(0));
      assertEquals(RingLayout.DIRTY, raw.flags(1));
      assertEquals(63, raw.page(1));
      assertEquals(0, raw.flags(2));
    }
  }

  @Test
  void write_pageNotReset_isNotReportedAgain() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5);
      guest.write(2, 5);
      RawRing raw = RawRing.of(guest, arena);
      assertEquals(1, raw.count(RingLayout.DIRTY));
      raw.flags(0, RingLayout.RESET);
      guest.write(3, 5); // harvested is not armed
      assertEquals(0, raw.count(RingLayout.DIRTY));
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(4, 5);
      assertEquals(1, raw.count(RingLayout.DIRTY));
    }
  }

  // With bitmaps

  @Test
  void get_ringMode_isRefused() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log()) {
      assertFalse(guest.vm.hasRingBitmap(), "x86 has none beside the rings");
      refused("ENXIO", guest::get);
      refused("ENXIO", () -> guest.clear(set(1)));
      refused(
          "EINVAL",
          () -> guest.vm.capabilities().enable("cap", Ioctls.CAP_DIRTY_LOG_RING_WITH_BITMAP, 0));
    }
  }

  @Test
  void initiallySet_withRing_isRefusedHere() {
    try (Kvm kvm = Kvm.open();
        KvmVm rings = kvm.createVm();
        KvmVm bitmaps = kvm.createVm()) {
      rings.enableDirtyRing(256);
      rings.enableManualProtect(false); // the kernel takes it, and it does nothing
      assertThrows(IllegalStateException.class, () -> rings.enableManualProtect(true));
      bitmaps.enableManualProtect(true);
      assertThrows(IllegalStateException.class, () -> bitmaps.enableDirtyRing(256));
    }
  }

  @Test
  void logOn_warmGuest_reportsWhatItWritesFromThenOn() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256))) {
      assertEquals(set(9), writtenAfterLogOn(guest));
    }
  }

  /** Why {@link KvmVm} refuses the two together. */
  @Test
  void logOn_warmGuestAndInitiallySet_losesWrites() {
    try (KvmGuest guest =
        new KvmGuest(
            64,
            vm -> {
              vm.enableDirtyRing(256);
              vm.capabilities().enable("cap", Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2, 3);
            })) {
      assertEquals(set(), writtenAfterLogOn(guest));
    }
  }

  private static BitSet writtenAfterLogOn(KvmGuest guest) {
    guest.vm.setSlot(SLOT, 0, KvmGuest.ADDRESS, guest.ram);
    guest.write(1, range(0, 64)); // bug 16: whatever the vCPU keeps is warm
    guest.log();
    guest.write(2, 9);
    return guest.reap(guest.vcpu.ring().newHarvest(), new ArrayList<>());
  }

  @Test
  void hostWrite_isNotSeen() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log()) {
      guest.ram.fill((byte) 1);
      assertFalse(guest.vcpu.ring().harvester().hasAtLeast(1));
    }
  }

  @Test
  void run_step_reportsEachPageAtItsExit() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log()) {
      guest.program.mode(true, false);
      guest.order(1, 9, 8);
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
      assertEquals(PageWriter.STEP_PORT, guest.vcpu.ioPort());
      assertTrue(guest.vcpu.ring().harvester().hasAtLeast(1));
      assertFalse(guest.vcpu.ring().harvester().hasAtLeast(2));
    }
  }

  @Test
  void ring_afterClose_isRefused() {
    KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log();
    guest.close();
    HarvestedPages pages = guest.vcpu.ring().newHarvest();
    assertThrows(IllegalStateException.class, () -> guest.vcpu.ring().harvester().harvest(pages));
    assertThrows(IllegalStateException.class, guest.vm::resetDirtyRings);
  }

  @Test
  void ring_vmWithout_isRefused() {
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN).log()) {
      assertThrows(IllegalStateException.class, guest.vcpu::ring);
    }
  }
}
