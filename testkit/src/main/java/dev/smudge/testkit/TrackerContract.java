package dev.smudge.testkit;

import static dev.smudge.testkit.GuestMachine.at;
import static dev.smudge.testkit.GuestMachine.look;
import static dev.smudge.testkit.GuestMachine.pages;
import static dev.smudge.testkit.GuestMachine.range;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Set;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * What every tracker does: the cases of docs/bugs.md and what the kernel guarantees, through the
 * API. The test of a tracker extends this class and says how a machine over that tracker is made.
 */
@Timeout(60)
@SuppressWarnings("NullAway.Init")
public abstract class TrackerContract {
  private static final long BASE = GuestMachine.BASE;
  private static final int PAGE = GuestMachine.PAGE;

  private final GuestMachine.Factory factory;
  private GuestMachine machine;
  private PartsTracker parts;

  /** Every test makes a machine of its own. */
  protected TrackerContract(GuestMachine.Factory factory) {
    this.factory = factory;
  }

  @BeforeEach
  void begin() {
    machine = factory.machine(real -> parts = new PartsTracker(real));
  }

  @AfterEach
  void end() {
    machine.close();
  }

  private GuestSlot slot(int id, long address, long pages) {
    return machine.memory().addSlot(id, address, machine.ram(pages), PAGE);
  }

  private DirtyClient<GuestSlot> client(String name) {
    return machine.memory().client(name, InitialView.NONE_DIRTY);
  }

  @Test
  void take_guestHasWritten_findsThosePagesOnceWithTheirContent() throws Exception {
    GuestSlot slot = slot(1, BASE, 200);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(7, at(3), at(64), at(199));
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      assertEquals(3, batch.pageCount());
      batch.forEachRun((in, first, count) ->
          assertEquals(
              7, in.pages(first, count).get(ValueLayout.JAVA_LONG, 0), in + ", page " + first));
      batch.commit();
    }
    assertEquals(Set.of(), GuestMachine.take(client));
    machine.write(8, at(3));
    assertEquals(pages(1, 3), GuestMachine.take(client));
    assertEquals(8, slot.ram().get(ValueLayout.JAVA_LONG, 3 * PAGE));
  }

  @Test
  void bug02_slotsOfOddSizes_allPagesAreDirtyAndCanBeArmed() {
    int id = 1;
    long address = BASE;
    for (long size : new long[] {1, 63, 64, 65, 4099}) {
      slot(id, address, size);
      DirtyClient<GuestSlot> client = machine.memory().client("c", InitialView.ALL_DIRTY);
      assertEquals(range(id, 0, size), GuestMachine.take(client));
      for (int n = 0; n < 10 && machine.pagesMove() && !GuestMachine.take(client).isEmpty(); n++) {}
      machine.write(1, address + (size - 1) * PAGE, address);
      assertEquals(pages(id, size - 1, 0), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(client));
      client.close();
      machine.memory().removeSlot(id).close();
      id++;
      address += 0x200_0000;
    }
  }

  @Test
  void bug01_clearOfEveryRange_isTakenOrRefusedAsTheKernelDoes() {
    slot(1, BASE, 130);
    slot(2, BASE + 0x100_0000, 64);
    GuestSlot[] slots = {machine.memory().slot(1), machine.memory().slot(2)};
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 130));
    long[] edges = {
      Long.MIN_VALUE,
      -64,
      -1,
      0,
      1,
      2,
      63,
      64,
      65,
      127,
      128,
      129,
      130,
      131,
      192,
      1L << 32,
      (1L << 32) + 64,
      Long.MAX_VALUE,
      Long.MAX_VALUE - 63
    };
    for (GuestSlot slot : slots) {
      long size = slot.pageCount();
      for (long first : edges) {
        for (long count : edges) {
          boolean legal =
              first >= 0
                  && first <= size
                  && count >= 0
                  && count <= size - first
                  && first % 64 == 0
                  && (count % 64 == 0 || count == size - first);
          if (legal) {
            parts.part(slot).clear(first, count, new long[3]); // no bit is set
          } else {
            assertThrows(
                IllegalArgumentException.class,
                () -> parts.part(slot).clear(first, count, new long[3]),
                () -> first + " + " + count);
          }
        }
      }
    }
    assertEquals(range(1, 0, 130), GuestMachine.take(client));
  }

  @Test
  void bug03_pageClearedByOneAndWrittenAgain_isDirtyForTheOther() {
    slot(1, BASE, 64);
    DirtyClient<GuestSlot> a = client("a");
    DirtyClient<GuestSlot> b = client("b");
    machine.write(1, at(5));
    machine.memory().log().sync();
    try (DirtyBatch<GuestSlot> batch = a.takeSynced()) {
      batch.commit();
    }
    machine.write(2, at(5));
    try (DirtyBatch<GuestSlot> batch = b.takeSynced()) {
      assertEquals(1, batch.pageCount());
      batch.commit();
    }
    assertEquals(pages(1, 5), GuestMachine.take(a));
    assertEquals(pages(1, 5), GuestMachine.take(b));
  }

  @Test
  void bug04_rangeTaken_othersOfItsWordSurvive() {
    GuestSlot slot = slot(1, BASE, 64);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 64));
    try (DirtyBatch<GuestSlot> batch = client.takeRange(slot, 5, 5)) {
      assertEquals(5, batch.pageCount());
      batch.commit();
    }
    machine.write(2, at(6), at(20));
    Set<String> rest = range(1, 0, 5);
    rest.addAll(range(1, 10, 64));
    rest.add("1:6");
    assertEquals(rest, GuestMachine.take(client));
  }

  @Test
  void bug16_guestHasWrittenBefore_laterWritesAreFound() {
    slot(1, BASE, 100);
    machine.write(1, at(0, 100));
    DirtyClient<GuestSlot> client = client("c");
    assertEquals(Set.of(), GuestMachine.take(client));
    machine.write(2, at(0, 100));
    assertEquals(range(1, 0, 100), GuestMachine.take(client));
    client.close();
    machine.write(3, at(0, 100));
    DirtyClient<GuestSlot> again = client("again");
    machine.write(4, at(7));
    assertEquals(pages(1, 7), GuestMachine.take(again));
  }

  @Test
  void bug15_deviceWrites_areMergedWithTheGuests() {
    GuestSlot slot = slot(1, BASE, 100);
    DirtyClient<GuestSlot> a = client("a");
    DirtyClient<GuestSlot> b = client("b");
    machine.write(1, at(1));
    machine.memory().device().fill(at(2) - 4, PAGE, (byte) 1); // pages 1 and 2
    slot.ram().set(ValueLayout.JAVA_BYTE, 9 * PAGE, (byte) 1);
    machine.memory().device().mark(at(9), 1);
    machine.memory().log().sync(); // the rings are empty after that
    machine.memory().device().putLong(at(50), 1);
    assertEquals(pages(1, 1, 2, 9, 50), GuestMachine.take(a));
    assertEquals(pages(1, 1, 2, 9, 50), GuestMachine.take(b));
    machine.memory().device().putInt(at(1), 1);
    machine.write(2, at(2));
    assertEquals(pages(1, 1, 2), GuestMachine.take(a));
    assertEquals(Set.of(), GuestMachine.take(a));
  }

  @Test
  void bug19_batchNotCommitted_isDirtyAgain() {
    slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 10));
    client.take().close();
    assertEquals(range(1, 0, 10), GuestMachine.take(client));
  }

  @Test
  void lookAndFork_takeNothing_andTheForkSeesLaterWritesToo() {
    slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 10));
    assertEquals(range(1, 0, 10), look(client));
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.acknowledge(machine.memory().slot(1), 0, 8);
      assertEquals(pages(1, 8, 9), look(client));
      DirtyClient<GuestSlot> fork = client.fork("f");
      machine.write(2, at(1), at(9), at(70));
      assertEquals(pages(1, 1, 8, 9, 70), look(fork));
      assertEquals(pages(1, 1, 8, 9, 70), GuestMachine.take(fork));
      machine.write(3, at(5));
      assertEquals(pages(1, 5), GuestMachine.take(fork));
    }
    assertEquals(pages(1, 1, 5, 8, 9, 70), GuestMachine.take(client));
  }

  @Test
  void bug28_discarded_isDirtyOnlyAfterTheNextWrite() {
    GuestSlot slot = slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    DirtyClient<GuestSlot> other = client("other");
    machine.write(1, at(0, 10));
    client.discard(slot, 0, 5);
    assertEquals(range(1, 5, 10), GuestMachine.take(client));
    machine.write(2, at(1));
    assertEquals(pages(1, 1), GuestMachine.take(client));
    assertEquals(range(1, 0, 10), GuestMachine.take(other));
  }

  @Test
  void bug32_moreThanTheRingHolds_isAllFound() {
    slot(1, BASE, 900);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 900));
    assertEquals(range(1, 0, 900), GuestMachine.take(client));
    machine.write(2, at(100, 800));
    assertEquals(range(1, 100, 800), GuestMachine.take(client));
    assertEquals(Set.of(), GuestMachine.take(client));
  }

  @Test
  void bug32_lastClientHasGoneWhileRingsAreFull_guestGoesOn() {
    slot(1, BASE, 900);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0, 190));
    client.close();
    machine.write(2, at(0, 900));
    client = client("again");
    machine.write(3, at(7));
    assertEquals(pages(1, 7), GuestMachine.take(client));
  }

  // Slots

  @Test
  void addSlot_clientThere_isDirtyOnceAndThenTracked() {
    slot(1, BASE, 10);
    DirtyClient<GuestSlot> client = client("c");
    slot(2, at(10), 70);
    assertEquals(range(2, 0, 70), GuestMachine.take(client));
    machine.write(1, at(9), at(10), at(79));
    assertEquals(Set.of("1:9", "2:0", "2:69"), GuestMachine.take(client));
  }

  @Test
  void bug18_removeSlot_handsOutWhatWasDirty() {
    slot(1, BASE, 100);
    slot(2, at(100), 10);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(3), at(99), at(100));
    machine.memory().device().putLong(at(50), 1);
    try (RemovedSlot<GuestSlot> removed = machine.memory().removeSlot(1)) {
      assertEquals(3, removed.dirtyPages());
    }
    assertEquals(Set.of("2:0"), GuestMachine.take(client));
  }

  /** Loss 1 of docs/kvm.md: entries of a larger slot of the same number. */
  @Test
  void bug12_numberUsedAgain_writesToTheNewSlotAreFound() {
    slot(1, BASE, 200);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(0), at(70), at(71));
    machine.memory().removeSlot(1).close();
    slot(1, BASE, 71);
    assertEquals(range(1, 0, 71), GuestMachine.take(client));
    machine.write(2, at(70), at(10));
    assertEquals(pages(1, 10, 70), GuestMachine.take(client));
    machine.write(3, at(70), at(10));
    assertEquals(pages(1, 10, 70), GuestMachine.take(client));
  }

  @Test
  void bug17_move_keepsWhatIsDirtyAndTracksTheRest() {
    slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(3));
    machine.memory().beginTransaction().move(1, at(1000)).commit();
    machine.write(2, at(1004));
    assertEquals(pages(1, 3, 4), GuestMachine.take(client));
    machine.write(2, at(1003), at(1099));
    assertEquals(pages(1, 3, 99), GuestMachine.take(client));
  }

  @Test
  void bug17_splitAndMerge_keepWhatIsDirty() {
    slot(1, BASE, 128);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(3), at(100));
    machine.memory().beginTransaction().split(1, 70L * PAGE, 2).commit();
    assertEquals(Set.of("1:3", "2:30"), GuestMachine.take(client));
    machine.write(2, at(69), at(70));
    machine.memory().beginTransaction().merge(1, 2).commit();
    machine.write(3, at(127));
    assertEquals(pages(1, 69, 70, 127), GuestMachine.take(client));
  }

  /** The interceptor in front of the tracker refuses the second slot. */
  @Test
  void change_failsInTheMiddle_oldSlotIsThereAndNothingIsLost() {
    machine.close();
    machine = factory.machine(RefusesSlot9::new);
    slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(3), at(90));
    assertThrows(
        RuntimeException.class,
        () ->
            machine
                .memory()
                .beginTransaction()
                .remove(1)
                .add(2, BASE, machine.ram(10), PAGE)
                .add(9, 0x5000_0000L, machine.ram(10), PAGE)
                .commit());
    assertEquals(List.of(1), machine.memory().slots().stream().map(GuestSlot::id).toList());
    assertTrue(GuestMachine.take(client).containsAll(pages(1, 3, 90)));
    machine.write(2, at(3), at(99));
    assertEquals(pages(1, 3, 99), GuestMachine.take(client));
  }

  private static final class RefusesSlot9 extends ForwardingTracker {
    RefusesSlot9(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void add(TrackedSlot slot, SlotTracker to) {
      if (slot.id() == 9) {
        throw new IllegalStateException("refused");
      }
      super.add(slot, to);
    }
  }

  /** Over KVM the other one waits for the pause, and must not wait with the lock of changes. */
  @Test
  void commit_whilePausedAndAnotherCommits_bothEnd() throws Exception {
    slot(1, at(0), 10);
    slot(2, at(10), 10);
    FutureTask<Void> other =
        new FutureTask<>(() -> {
          machine.memory().removeSlot(2).close();
          return null;
        });
    Thread thread = Thread.ofPlatform().daemon().unstarted(other);
    try (VcpuPause _ = machine.memory().log().pause()) {
      thread.start();
      while (thread.getState() != Thread.State.TIMED_WAITING && thread.isAlive()) {
        Thread.onSpinWait();
      }
      machine.memory().removeSlot(1).close(); // at once: else the other one runs out of its time
    }
    other.get();
  }

  @Test
  void addSlot_wrong_isRefusedAndNothingIsChanged() {
    slot(1, BASE, 10);
    DirtyClient<GuestSlot> client = client("c");
    MemorySegment ram = machine.ram(10);
    for (Runnable wrong :
        List.<Runnable>of(
            () -> machine.memory().addSlot(1, at(20), ram, PAGE),
            () -> machine.memory().addSlot(2, at(9), ram, PAGE),
            () -> machine.memory().addSlot(2, at(20) + 1, ram, PAGE),
            () -> machine.memory().addSlot(2, -PAGE, ram, PAGE),
            () -> machine.memory().addSlot(-1, at(20), ram, PAGE),
            () -> machine.memory().addSlot(32_764, at(20), ram, PAGE),
            () -> machine.memory().addSlot(2, at(20), ram.asSlice(0, 100), PAGE))) {
      assertThrows(IllegalArgumentException.class, wrong::run);
    }
    machine.write(1, at(9));
    assertEquals(pages(1, 9), GuestMachine.take(client));
  }

  @Test
  void bug24_sealed_lastTakeHasAll() {
    slot(1, BASE, 100);
    DirtyClient<GuestSlot> client = client("c");
    machine.write(1, at(3));
    machine.memory().seal();
    assertEquals(pages(1, 3), GuestMachine.take(client));
    machine.memory().unseal();
    machine.write(2, at(4));
    assertEquals(pages(1, 4), GuestMachine.take(client));
  }
}
