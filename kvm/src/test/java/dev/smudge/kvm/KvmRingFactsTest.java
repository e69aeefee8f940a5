package dev.smudge.kvm;

import static dev.smudge.kvm.KvmFactsTest.refused;
import static dev.smudge.kvm.KvmGuest.SLOT;
import static dev.smudge.kvm.KvmGuest.range;
import static dev.smudge.kvm.KvmGuest.set;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.smudge.kvmguest.PageWriter;
import dev.smudge.linux.Descriptor;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.function.Consumer;
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

  static Consumer<KvmVm> ring(int entries) {
    return vm -> vm.enableDirtyRing(entries);
  }

  /** The raw entries: a second mapping of the same pages. */
  static MemorySegment entries(KvmGuest guest, Arena arena) {
    long bytes = (long) guest.vm.ringEntries() * RingLayout.ENTRY_SIZE;
    try (Descriptor vcpu = Descriptor.borrowed(guest.vcpu.fd(), "the vCPU")) {
      return vcpu.map("ring", RunLayout.DIRTY_RING_PAGE * guest.vm.pageSize(), bytes, arena);
    }
  }

  static int flags(MemorySegment entries, int entry) {
    return entries.get(JAVA_INT, (long) entry * RingLayout.ENTRY_SIZE);
  }

  static void flags(MemorySegment entries, int entry, int flags) {
    entries.set(JAVA_INT, (long) entry * RingLayout.ENTRY_SIZE, flags);
  }

  static int count(MemorySegment entries, int flags) {
    int count = 0;
    for (int entry = 0; entry < entries.byteSize() / RingLayout.ENTRY_SIZE; entry++) {
      count += flags(entries, entry) == flags ? 1 : 0;
    }
    return count;
  }

  @BeforeAll
  static void measureReserve() {
    try (KvmGuest guest = new KvmGuest(ENTRIES, ring(ENTRIES)).log();
        Arena arena = Arena.ofConfined()) {
      guest.order(1, range(0, ENTRIES));
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      reserve = ENTRIES - count(entries(guest, arena), RingLayout.DIRTY);
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
    try (KvmGuest guest = new KvmGuest(size, ring(size)).log();
        Arena arena = Arena.ofConfined()) {
      guest.order(1, range(0, size));
      int expected = size - reserve;
      assumeTrue(expected > 0, "the reserve is larger than the ring: nothing would run");
      assertEquals(RunLayout.EXIT_DIRTY_RING_FULL, guest.vcpu.run());
      assertEquals(expected, count(entries(guest, arena), RingLayout.DIRTY));
      assertTrue(reserve >= 64, () -> "reserve " + reserve);
    }
  }

  // Full

  @Test
  void run_full_comesBackUntilAReset() {
    try (KvmGuest guest = new KvmGuest(ENTRIES, ring(ENTRIES)).log()) {
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
    try (KvmGuest guest = new KvmGuest(3000, ring(ENTRIES)).log()) {
      guest.order(1, range(0, 3000));
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      int fullExits = 0;
      while (guest.vcpu.run() == RunLayout.EXIT_DIRTY_RING_FULL) {
        fullExits++;
        BitSet before = reap(guest, pages, found);
        // The last entry may name a write that has not happened yet, and comes again.
        int last = (int) (long) found.getLast();
        assertTrue(before.get(last));
      }
      reap(guest, pages, found);
      BitSet set = new BitSet();
      found.forEach(page -> set.set((int) (long) page));
      assertEquals(set(range(0, 3000)), set);
      assertTrue(fullExits >= 3, () -> "a ring of 1,024 has to fill");
      assertTrue(
          found.size() >= 3000 && found.size() <= 3000 + 2 * fullExits,
          () -> found.size() + " entries");
    }
  }

  static BitSet reap(KvmGuest guest, HarvestedPages pages, List<Long> into) {
    int harvested = guest.vcpu.ring().harvester().harvest(pages);
    assertEquals(harvested, guest.vm.resetDirtyRings());
    assertEquals(harvested, guest.vcpu.ring().resetter().noteResets());
    BitSet set = new BitSet();
    pages.forEachPage(
        () -> {},
        (slotId, page) -> {
          assertEquals(SLOT, slotId);
          into.add(page);
          set.set((int) page);
        });
    return set;
  }

  // Entries

  @Test
  void entry_written_isDirtyWithItsSlotAndPage() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5, 63);
      MemorySegment entries = entries(guest, arena);
      assertEquals(RingLayout.DIRTY, flags(entries, 0));
      assertEquals(SLOT, entries.get(JAVA_INT, RingLayout.SLOT_OFFSET));
      assertEquals(5, entries.get(JAVA_LONG, RingLayout.PAGE_OFFSET));
      assertEquals(RingLayout.DIRTY, flags(entries, 1));
      assertEquals(63, entries.get(JAVA_LONG, 16 + RingLayout.PAGE_OFFSET));
      assertEquals(0, flags(entries, 2));
    }
  }

  @Test
  void write_pageNotReset_isNotReportedAgain() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5);
      guest.write(2, 5);
      MemorySegment entries = entries(guest, arena);
      assertEquals(1, count(entries, RingLayout.DIRTY));
      flags(entries, 0, RingLayout.RESET);
      guest.write(3, 5); // harvested is not armed
      assertEquals(0, count(entries, RingLayout.DIRTY));
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(4, 5);
      assertEquals(1, count(entries, RingLayout.DIRTY));
    }
  }

  @Test
  void reset_gap_stopsThere() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 1, 2, 3, 4);
      MemorySegment entries = entries(guest, arena);
      flags(entries, 0, RingLayout.RESET);
      flags(entries, 2, RingLayout.RESET);
      flags(entries, 3, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      assertEquals(0, flags(entries, 0));
      assertEquals(RingLayout.DIRTY, flags(entries, 1));
      assertEquals(RingLayout.RESET, flags(entries, 2));
      assertEquals(0, guest.vm.resetDirtyRings());
      flags(entries, 1, RingLayout.RESET);
      assertEquals(3, guest.vm.resetDirtyRings());
      assertEquals(4, count(entries.asSlice(0, 64), 0));
    }
  }

  @Test
  void reset_dirtyAndReset_countsAsHarvested() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 1);
      MemorySegment entries = entries(guest, arena);
      flags(entries, 0, RingLayout.DIRTY | RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      assertEquals(0, flags(entries, 0));
    }
  }

  @Test
  void reset_forgedEntries_areCountedAndIgnored() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, range(0, 8));
      MemorySegment entries = entries(guest, arena);
      forge(entries, 0, SLOT, 0);
      forge(entries, 1, 0xFFFF, 0);
      forge(entries, 2, 0xFFFF_FFFF, -1);
      forge(entries, 3, 7, 3); // no such slot
      forge(entries, 4, 1 << 16 | SLOT, 3); // address space 1
      forge(entries, 5, SLOT, 64 + 64); // past the end
      forge(entries, 6, SLOT, -1 << 20);
      forge(entries, 7, SLOT, 7);
      assertEquals(8, guest.vm.resetDirtyRings());
      guest.write(2, range(0, 8));
      // Only what was named is armed again: pages 0 and 7.
      assertEquals(2, count(entries, RingLayout.DIRTY));
    }
  }

  /** The kernel drops all that it joined to one batch, also pages that there are. */
  @ParameterizedTest
  @ValueSource(longs = {0xFFFF_FFFF_FFFF_FFC1L, 64})
  void reset_forgedEntryJoinedToAnother_disarmsThatToo(long forged) {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      long near = forged == 64 ? 1 : 0; // at most 63 from it
      guest.write(1, (int) near, 20);
      MemorySegment entries = entries(guest, arena);
      forge(entries, 0, SLOT, forged);
      forge(entries, 1, SLOT, near);
      assertEquals(2, guest.vm.resetDirtyRings());
      guest.write(2, (int) near);
      assertEquals(0, count(entries, RingLayout.DIRTY));
    }
  }

  /** So an entry of a former, larger slot of the same id makes a page of the new one be lost. */
  @Test
  void reset_entryOfAFormerSlot_losesAPageOfTheNewOne() {
    try (KvmGuest guest = new KvmGuest(128, ring(256)).log()) {
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      guest.write(1, 70);
      guest.vm.deleteSlot(SLOT);
      guest.vm.setSlot(
          SLOT, KvmVm.LOG_DIRTY_PAGES, KvmGuest.ADDRESS, guest.ram.asSlice(0, 64 * KvmGuest.PAGE));
      guest.write(2, 10);
      assertEquals(set(10, 70), reap(guest, pages, found));
      guest.write(3, 10);
      assertEquals(set(), reap(guest, pages, found));
    }
  }

  /** What helps: the rings are emptied between the two. */
  @Test
  void reset_ringsEmptiedBeforeTheIdIsUsedAgain_losesNothing() {
    try (KvmGuest guest = new KvmGuest(128, ring(256)).log()) {
      List<Long> found = new ArrayList<>();
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      guest.write(1, 70);
      guest.vm.deleteSlot(SLOT);
      assertEquals(set(70), reap(guest, pages, found));
      guest.vm.setSlot(
          SLOT, KvmVm.LOG_DIRTY_PAGES, KvmGuest.ADDRESS, guest.ram.asSlice(0, 64 * KvmGuest.PAGE));
      guest.write(2, 10);
      assertEquals(set(10), reap(guest, pages, found));
      guest.write(3, 10);
      assertEquals(set(10), reap(guest, pages, found));
    }
  }

  private static void forge(MemorySegment entries, int entry, int slotId, long page) {
    long at = (long) entry * RingLayout.ENTRY_SIZE;
    entries.set(JAVA_INT, at + RingLayout.SLOT_OFFSET, slotId);
    entries.set(JAVA_LONG, at + RingLayout.PAGE_OFFSET, page);
    entries.set(JAVA_INT, at, RingLayout.RESET);
  }

  @Test
  void reset_flagForgedOnAFreeEntry_countsIt() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      MemorySegment entries = entries(guest, arena);
      flags(entries, 0, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(1, 5);
      assertEquals(RingLayout.DIRTY, flags(entries, 0));
      flags(entries, 0, RingLayout.RESET);
      // The kernel's place of the next reset is one ahead now: a gap for ever, until a full round.
      assertEquals(0, guest.vm.resetDirtyRings());
    }
  }

  @Test
  void reset_slotDeletedOrMadeAnew_countsAndIgnores() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5, 6);
      guest.vm.deleteSlot(SLOT);
      MemorySegment entries = entries(guest, arena);
      assertEquals(2, count(entries, RingLayout.DIRTY)); // they stay
      flags(entries, 0, RingLayout.RESET);
      flags(entries, 1, RingLayout.RESET);
      assertEquals(2, guest.vm.resetDirtyRings());
    }
  }

  @Test
  void reset_logSwitchedOff_countsAndIgnores() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log();
        Arena arena = Arena.ofConfined()) {
      guest.write(1, 5);
      guest.vm.setSlot(SLOT, 0, KvmGuest.ADDRESS, guest.ram);
      MemorySegment entries = entries(guest, arena);
      flags(entries, 0, RingLayout.RESET);
      assertEquals(1, guest.vm.resetDirtyRings());
      guest.write(2, 6);
      assertEquals(0, count(entries, RingLayout.DIRTY));
    }
  }

  // With bitmaps

  @Test
  void get_ringMode_isRefused() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log()) {
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
    try (KvmGuest guest = new KvmGuest(64, ring(256))) {
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
    return reap(guest, guest.vcpu.ring().newHarvest(), new ArrayList<>());
  }

  @Test
  void hostWrite_isNotSeen() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log()) {
      guest.ram.fill((byte) 1);
      assertFalse(guest.vcpu.ring().harvester().hasAtLeast(1));
    }
  }

  @Test
  void run_step_reportsEachPageAtItsExit() {
    try (KvmGuest guest = new KvmGuest(64, ring(256)).log()) {
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
    KvmGuest guest = new KvmGuest(64, ring(256)).log();
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
