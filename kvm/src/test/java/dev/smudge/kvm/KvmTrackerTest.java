package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyCounters;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.inhibitor.InhibitableAccess;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.tracker.TrackerVcpus;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What only the kernel's backend has. */
@RequiresKvm
@Timeout(60)
class KvmTrackerTest {
  private static final long BASE = GuestMachine.BASE;
  private static final int PAGE = GuestMachine.PAGE;
  private static final int PAGES = 512;

  private static KvmMachine machine(int ring) {
    return machine(ring, real -> real);
  }

  private static KvmMachine machine(int ring, UnaryOperator<Tracker> between) {
    return new KvmMachine(ring, true, DirtyLog.builder().interceptTracker(between));
  }

  private static GuestSlot slot(GuestMachine machine) {
    return machine.memory().addSlot(1, BASE, machine.ram(PAGES), PAGE);
  }

  private static DirtyClient<GuestSlot> client(GuestMachine machine) {
    return machine.memory().client("c", InitialView.NONE_DIRTY);
  }

  private static long[] allPages() {
    return LongStream.range(0, PAGES).map(page -> BASE + page * PAGE).toArray();
  }

  private static CompletableFuture<Integer> startEndless(KvmMachine machine) {
    machine.program.mode(false, true);
    machine.program.list(allPages());
    machine.program.iteration(1);
    return machine.start();
  }

  private static void awaitRounds(KvmMachine machine, long more) {
    long until = machine.program.rounds() + more;
    while (machine.program.rounds() < until) {
      Thread.onSpinWait();
    }
  }

  // The options of the log hold for the kernel's vCPUs

  @Test
  void timeout_aVcpuThatDoesNotLeaveTheGuest_failsThePauseByTheTimeoutOfTheLog() throws Exception {
    DirtyLogBuilder options = DirtyLog.builder().timeout(Duration.ofMillis(150));
    try (KvmMachine machine = new KvmMachine(0, true, options);
        ExecutorService vcpuThread = Executors.newSingleThreadExecutor()) {
      slot(machine);
      // As a run whose kicks are lost.
      InhibitableAccess stuck = machine.backend.inhibitor().addAccess(() -> {});
      vcpuThread.submit(stuck::enter).get();
      VcpuTimeoutException late = assertThrows(VcpuTimeoutException.class, machine.memory()::pause);
      assertTrue(String.valueOf(late.getMessage()).contains("150 ms"), late::toString);
      vcpuThread.submit(stuck::leave).get();
      machine.memory().pause().close();
    }
  }

  @Test
  void errorHandler_aVcpuThreadThatEndedInTheGuest_isReportedToTheHandlerOfTheLog()
      throws Exception {
    List<Throwable> errors = new CopyOnWriteArrayList<>();
    DirtyLogBuilder options = DirtyLog.builder().errorHandler(errors::add);
    try (KvmMachine machine = new KvmMachine(0, true, options)) {
      slot(machine);
      InhibitableAccess left = machine.backend.inhibitor().addAccess(() -> {});
      Thread thread = Thread.ofPlatform().start(left::enter);
      thread.join();
      machine.memory().pause().close();
      assertEquals(1, errors.size(), errors::toString);
      assertTrue(errors.toString().contains("has ended inside"), errors::toString);
    }
  }

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
  @SuppressWarnings("try") // closed twice
  void pause_guestRuns_standsStillUntilItsEnd(int ring) throws Exception {
    try (KvmMachine machine = machine(ring)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      for (int i = 0; i < 20; i++) {
        awaitRounds(machine, 1);
        try (VcpuPause pause = machine.memory().pause()) {
          GuestMachine.take(client);
          long rounds = machine.program.rounds();
          assertEquals(Set.of(), GuestMachine.take(client));
          assertEquals(Set.of(), GuestMachine.take(client));
          assertEquals(rounds, machine.program.rounds());
          machine.memory().addSlot(3, 0x6000_0000L, machine.ram(1), PAGE);
          machine.memory().removeSlot(3).close(); // a change by who pauses
          pause.close(); // twice does nothing
        }
      }
      awaitRounds(machine, 1);
      machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, end.get());
    }
  }

  @Test
  void seal_guestRuns_runIsRefusedUntilItIsTakenBack() {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      awaitRounds(machine, 3);
      machine.memory().seal();
      GuestMachine.take(client);
      ExecutionException e =
          assertThrows(ExecutionException.class, () -> end.get(10, TimeUnit.SECONDS));
      assertTrue(e.getCause() instanceof SealedException, e::toString);
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  @Test
  void kick_beforeTheRun_endsItOnce() {
    try (KvmMachine machine = machine(0)) {
      slot(machine);
      machine.program.list(BASE);
      machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, machine.runner.run());
      machine.vcpu.kick(); // somebody else's, as a change's that comes late
      assertEquals(RunLayout.EXIT_IO, machine.runner.run());
    }
  }

  @Test
  void run_byASecondThread_isRefusedUntilTheRunnerIsClosed() throws Exception {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      machine.write(1, BASE);
      ExecutionException e = assertThrows(ExecutionException.class, () -> machine.start().get());
      assertTrue(e.getCause() instanceof VcpuException, e::toString);
      DirtyClient<GuestSlot> client = client(machine);
      machine.runner.close();
      try (KvmRunner other = machine.backend.addVcpu(machine.vcpu)) {
        machine.program.list(BASE + PAGE);
        assertEquals(RunLayout.EXIT_IO, other.run());
      }
      assertEquals(Set.of("1:1"), GuestMachine.take(client));
    }
  }

  @Test
  void run_byTheNextThreadAfterTheFirstHasEnded_goesOn() throws Exception {
    try (KvmMachine machine = machine(0)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      for (int page = 0; page < 3; page++) {
        machine.program.list(BASE + (long) page * PAGE);
        CompletableFuture<Integer> exit = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().start(() -> exit.complete(machine.runner.run()));
        thread.join();
        assertEquals(RunLayout.EXIT_IO, exit.getNow(-1));
        assertEquals(Set.of("1:" + page), GuestMachine.take(client));
      }
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
      assertEquals(ring == 0 ? 0 : 3.0, after.entriesPerReset());
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

  @Test
  void pause_itsHolderHasEnded_isOverAndReported() throws Exception {
    List<Throwable> errors = new CopyOnWriteArrayList<>();
    try (KvmMachine machine =
        new KvmMachine(0, true, DirtyLog.builder().errorHandler(errors::add))) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      Thread holder = new Thread(() -> assertNotNull(machine.memory().pause()));
      holder.start();
      holder.join();
      machine.write(1, BASE); // the vCPU
      assertEquals(Set.of("1:0"), GuestMachine.take(client));
      holder = new Thread(() -> assertNotNull(machine.memory().pause()));
      holder.start();
      holder.join();
      machine.memory().addSlot(2, BASE + (1L << 30), machine.ram(1), PAGE);
      machine.memory().removeSlot(2).close(); // a change
    }
    assertFalse(errors.isEmpty());
    for (Throwable error : errors) {
      assertTrue(error.toString().contains("has not closed its pause"), errors::toString);
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
  void close_memoryUnderARunningGuest_endsItWithAnExit() throws Exception {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      awaitRounds(machine, 1);
      machine.memory().close();
      assertEquals(RunLayout.EXIT_MMIO, end.get());
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
      try (KvmMachine owner = machine(ring);
          KvmVm adopted = owner.kvm.adoptVm(owner.vm.fd(), ring);
          KvmVcpu vcpu = adopted.adoptVcpu(owner.vcpu.fd())) {
        KvmTracker backend = KvmTracker.over(adopted);
        try (GuestMemory memory = GuestMemory.over(backend.log());
            KvmRunner runner = backend.addVcpu(vcpu)) {
          memory.addSlot(1, BASE, owner.ram(PAGES), PAGE);
          DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
          owner.program.list(BASE + 7 * PAGE);
          assertEquals(RunLayout.EXIT_IO, runner.run());
          assertEquals(Set.of("1:7"), GuestMachine.take(client));
        }
      }
    }
  }
}
