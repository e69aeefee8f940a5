package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyCounters;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.tracker.TrackerVcpus;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What only the kernel's backend has. */
@RequiresKvm
@Timeout(60)
class KvmTrackerTest extends KvmTrackerCase {
  // Changes beside a guest that runs

  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void bug17_slotSplitAndMergedUnderARunningGuest_noHoleAndNoLoss(int ring) throws Exception {
    try (KvmMachine machine = machine(ring)) {
      GuestSlot whole = slot(machine);
      MemorySegment ram = whole.ram();
      DirtyClient<GuestSlot> client = client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      BitSet must = new BitSet();
      long[] seen = new long[PAGES];
      for (int i = 2; i < 60; i++) {
        machine.program.iteration(i);
        try (var change = machine.memory().beginTransaction()) {
          (i % 2 == 0 ? change.split(1, 200L * PAGE, 2) : change.merge(1, 2)).commit();
        }
        BitSet dirty = pages(GuestMachine.take(client));
        must.andNot(dirty);
        assertEquals("{}", must.toString(), "written and never reported, change " + i);
        for (int page = 0; page < PAGES; page++) {
          long value = ram.get(ValueLayout.JAVA_LONG, (long) page * PAGE);
          if (value != seen[page] && !dirty.get(page)) {
            must.set(page);
          }
          seen[page] = value;
        }
        assertFalse(end.isDone(), () -> "the guest found a hole: " + end);
      }
      machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, end.get());
      must.andNot(pages(GuestMachine.take(client)));
      assertEquals("{}", must.toString());
    }
  }

  /** Slot 2 begins at page 200 of the memory. */
  private static BitSet pages(Set<String> found) {
    BitSet pages = new BitSet();
    for (String page : found) {
      int index = Integer.parseInt(page.substring(2));
      pages.set(page.startsWith("2:") ? 200 + index : index);
    }
    return pages;
  }

  /** That the test before can fail. */
  @Test
  void bug17_changeThatStopsNobody_guestFindsTheHole() throws Exception {
    try (KvmMachine machine = machine(0, StopsNobody::new)) {
      slot(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      awaitRounds(machine, 1);
      for (int i = 0; i < 20_000 && !end.isDone(); i++) {
        try (var change = machine.memory().beginTransaction()) {
          (i % 2 == 0 ? change.split(1, 200L * PAGE, 2) : change.merge(1, 2)).commit();
        }
      }
      machine.runner.kick(); // it may have found none
      assertEquals(RunLayout.EXIT_MMIO, end.get());
    }
  }

  private static final class StopsNobody extends ForwardingTracker {
    StopsNobody(Tracker backend) {
      super(backend);
    }

    @Override
    public TrackerVcpus vcpus() {
      return () -> () -> {};
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void counters_guestWrites_countWhatWasFound(int ring) {
    try (KvmMachine machine = machine(ring)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      DirtyCounters before = machine.memory().log().counters();
      machine.write(1, BASE, BASE + PAGE, BASE + 70 * PAGE);
      GuestMachine.take(client);
      DirtyCounters after = machine.memory().log().counters();
      assertEquals(0, before.dirtyPages(), before.toString());
      assertEquals(3, after.dirtyPages(), after.toString());
      assertEquals(ring == 0 ? 0 : 3, after.ringEntries());
      assertEquals(ring == 0 ? 0 : 1, after.ringResets());
      assertTrue(after.pagesPerSecondSince(before) > 0);
    }
  }

  // Rings

  @Test
  void close_vcpuWithEntriesInItsRing_theyAreFound() {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      machine.write(1, BASE, BASE + 100 * PAGE);
      machine.vcpu.close();
      assertEquals(Set.of("1:0", "1:100"), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  @Test
  void reaper_aQuarterFull_emptiesTheRing() throws Exception {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      machine.write(1, LongStream.range(0, 60).map(page -> BASE + page * PAGE).toArray());
      assertEquals(0, machine.memory().log().reap());
      machine.write(1, LongStream.range(60, 70).map(page -> BASE + page * PAGE).toArray());
      assertEquals(70, machine.memory().log().reap());
      assertEquals(70, client.dirtyPages());
    }
  }

  // What is refused, and how it ends

  @Test
  void addSlot_whatTheKernelCannotHave_isRefusedAndNothingIsChanged() {
    try (KvmMachine machine = machine(0)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      GuestMemory memory = machine.memory();
      long free = BASE + 0x1000_0000L;
      MemorySegment heap = MemorySegment.ofArray(new long[PAGE / 8]);
      for (Runnable wrong :
          List.<Runnable>of(
              () -> memory.addSlot(2, free, heap, PAGE),
              () -> memory.addSlot(2, free, machine.ram(4), 2 * PAGE),
              () -> memory.addSlot(2, free, machine.ram(1), 256),
              () -> memory.addSlot(2, free, machine.ram(3).asSlice(8, PAGE), PAGE))) {
        assertThrows(IllegalArgumentException.class, wrong::run);
      }
      assertThrows(IllegalStateException.class, () -> memory.log().addSlot(2, 1, PAGE));
      machine.write(1, BASE);
      assertEquals(Set.of("1:0"), GuestMachine.take(client));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void change_kernelRefusesTheSecondStep_isUndone(int ring) {
    try (KvmMachine machine = machine(ring)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      try (var change = machine.memory().beginTransaction()) {
        change.remove(1).add(2, BASE, machine.ram(4), PAGE);
        change.add(3, 1L << 62, machine.ram(1), PAGE); // more address bits than the processor has
        assertThrows(KvmException.class, change::commit);
      }
      assertEquals(PAGES, GuestMachine.take(client).size());
      machine.write(1, BASE, BASE + 511 * PAGE);
      assertEquals(Set.of("1:0", "1:511"), GuestMachine.take(client));
    }
  }

  @Test
  void addVcpu_notTheKernels_isRefused() {
    try (KvmMachine machine = machine(0);
        KvmMachine other = machine(0)) {
      assertThrows(IllegalStateException.class, machine.memory()::addVcpu);
      assertThrows(IllegalArgumentException.class, () -> machine.backend.addVcpu(other.vcpu));
      assertThrows(IllegalStateException.class, machine.backend::log);
      assertThrows(IllegalStateException.class, () -> KvmTracker.over(machine.vm));
    }
  }

  /** The kernel would write to their addresses whatever is there then. */
  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void close_memory_kernelHasNoSlotOfItAnyMore(int ring) {
    try (KvmMachine machine = machine(ring)) {
      slot(machine);
      GuestSlot own = machine.memory().addSlot(2, BASE + 0x1000_0000L, 10L * PAGE);
      client(machine);
      machine.write(1, BASE, own.guestAddress());
      machine.memory().close();
      for (int id : new int[] {1, 2}) {
        KvmException e = assertThrows(KvmException.class, () -> machine.vm.deleteSlot(id));
        assertEquals("EINVAL", e.errnoName());
      }
      machine.program.list(own.guestAddress());
      assertEquals(RunLayout.EXIT_MMIO, machine.runner.run());
    }
  }

  @Test
  void close_vmFirst_memoryCanBeClosed() {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      client(machine);
      machine.write(1, BASE);
      machine.vm.close();
      machine.memory().close();
    }
  }

  @Test
  void adopted_vmAndVcpu_areTrackedAlike() {
    for (int ring : new int[] {0, 256}) {
      try (KvmGuest owner = new KvmGuest(PAGES, ring == 0 ? vm -> {} : KvmGuest.ring(ring));
          KvmVm adopted = owner.kvm.adoptVm(owner.vm.fd(), ring);
          KvmVcpu vcpu = adopted.adoptVcpu(owner.vcpu.fd())) {
        KvmTracker backend = KvmTracker.over(adopted);
        try (GuestMemory memory = GuestMemory.over(backend.log());
            KvmRunner runner = backend.addVcpu(vcpu)) {
          memory.addSlot(1, KvmGuest.ADDRESS, owner.ram, PAGE);
          DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
          owner.order(1, 7);
          assertEquals(RunLayout.EXIT_IO, runner.run());
          assertEquals(Set.of("1:7"), GuestMachine.take(client));
        }
      }
    }
  }

  /** Each would miss what the other has fetched and cleared. */
  @Test
  void over_anotherObjectOfAVmThatHasATracker_isRefusedUntilThatIsClosed() {
    try (Kvm kvm = Kvm.open();
        KvmVm owner = kvm.createVm()) {
      KvmVm first = kvm.adoptVm(owner.fd(), 0);
      KvmTracker.over(first);
      for (KvmVm other : List.of(owner, kvm.adoptVm(owner.fd(), 0))) {
        IllegalStateException e =
            assertThrows(IllegalStateException.class, () -> KvmTracker.over(other));
        assertTrue(String.valueOf(e.getMessage()).contains("has a tracker already"), e::getMessage);
      }
      first.close();
      KvmTracker.over(owner);
    }
  }
}
