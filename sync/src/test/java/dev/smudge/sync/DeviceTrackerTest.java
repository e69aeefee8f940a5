package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Trackers of devices beside the vCPUs: nothing that they tell is lost, and none disturbs the
 * others.
 */
class DeviceTrackerTest {
  private static final int PAGE = 4096;

  private final List<Throwable> errors = new CopyOnWriteArrayList<>();
  private final List<String> calls = new CopyOnWriteArrayList<>();
  private final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  private final LogSlot slot = log.addSlot(0, 200, PAGE);

  /**
   * A device with a log of its own, as KVM's: a bit stays set, and is told, until it is cleared.
   */
  private final class Device implements Tracker {
    final String name;
    final Map<Integer, BitSet> bits = new HashMap<>(); // by entry id
    final List<Integer> gone = new ArrayList<>(); // likewise
    @Nullable StackOverflowError stackEnds; // thrown where it fails, in place of a fault
    String failsAt = "";
    Runnable onSync = () -> {};

    Device(String name) {
      this.name = name;
    }

    void write(LogSlot to, int page) {
      BitSet set = bits.get(to.slot.entryId());
      if (set != null) {
        set.set(page);
      }
    }

    BitSet bits(LogSlot of) {
      return Objects.requireNonNull(bits.get(of.slot.entryId()));
    }

    private void call(String what) {
      calls.add(name + " " + what);
      mayFail(what);
    }

    private void mayFail(String what) {
      if (what.equals(failsAt)) {
        if (stackEnds != null) {
          throw stackEnds;
        }
        throw new TestTracker.Fault(name + " " + what);
      }
    }

    @Override
    public void startLog() {
      call("startLog");
    }

    @Override
    public void stopLog() {
      call("stopLog");
    }

    @Override
    public SlotTracker newSlot(TrackedSlot of) {
      BitSet set = new BitSet();
      return new SlotTracker() {
        @Override
        public void start() {
          bits.put(of.entryId(), set);
          call("start " + of.id());
        }

        @Override
        public void stop() {
          call("stop " + of.id());
          bits.remove(of.entryId());
          gone.add(of.entryId());
        }

        @Override
        public void collect(PageWordConsumer sink) {
          onSync.run();
          mayFail("before collect");
          long[] words = set.toLongArray();
          for (int w = 0; w < words.length; w++) {
            if (words[w] != 0) {
              sink.accept(w, words[w]);
            }
          }
          mayFail("collect");
        }

        @Override
        public void clear(long firstPage, long pageCount, long[] bitmap) {
          mayFail("clear");
          BitSet clear = BitSet.valueOf(bitmap);
          clear.stream()
              .forEach(page -> {
                assertTrue(page < pageCount);
                set.clear((int) firstPage + page);
                calls.add(name + " clear " + (firstPage + page));
              });
        }
      };
    }

    @Override
    public void afterSync() {
      mayFail("afterSync");
    }

    @Override
    public void detach() {
      call("detach");
    }

    @Override
    public void close() {
      call("close");
    }
  }

  private Set<Long> take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      Set<Long> pages = ClientProtocolTest.pages(batch, 0);
      batch.commit();
      return pages;
    }
  }

  private List<String> calls() {
    List<String> copy = new ArrayList<>(calls);
    calls.clear();
    return copy;
  }

  @Test
  void device_pagesTold_reachEveryClientAndNoBackendClear() {
    TestTracker backend = new TestTracker();
    DirtyLog other = DirtyLog.builder().interceptTracker(backend::over).build();
    LogSlot there = other.addSlot(0, 200, PAGE);
    Device device = new Device("d");
    other.addTracker(0, device);
    DirtyClient<LogSlot> a = other.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = other.client("b", InitialView.NONE_DIRTY);
    backend.calls.clear();
    device.write(there, 3);
    device.write(there, 199);
    assertEquals(Set.of(3L, 199L), take(a));
    assertEquals(Set.of(3L, 199L), take(b));
    assertEquals(Set.of(), take(a));
    assertEquals(0, backend.count("clear"));
    device.write(there, 3);
    assertEquals(Set.of(3L), take(a));
  }

  @Test
  void bug03_doubleClearOfADevice_writeAfterTheFirstClearIsKept() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    log.sync(); // told to both
    assertEquals(Set.of(5L), take(a)); // cleared
    device.write(slot, 5);
    try (DirtyBatch<LogSlot> batch = b.takeSynced()) { // by its old copy: clears nothing
      assertEquals(1, batch.pageCount());
      batch.commit();
    }
    assertEquals(Set.of(5L), take(a));
    assertEquals(Set.of(5L), take(b));
    assertEquals(2, calls.stream().filter("d clear 5"::equals).count());
  }

  @Test
  void bug04_clearOfOnePage_othersOfTheWordStayToldAndUncleared() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    for (int page = 0; page < 64; page++) {
      device.write(slot, page);
    }
    try (DirtyBatch<LogSlot> batch = a.takeRange(log.slot(0), 5, 5)) {
      assertEquals(5, batch.pageCount());
      batch.commit();
    }
    assertEquals(59, device.bits(slot).cardinality());
    assertEquals(59, take(a).size());
  }

  @Test
  void noneDirtyStart_toldPages_clearedForTheNewKeptForTheOthers() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 7);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    assertTrue(device.bits(slot).isEmpty());
    device.write(slot, 8);
    assertEquals(Set.of(7L, 8L), take(a));
    assertEquals(Set.of(8L), take(b));
  }

  @Test
  void discardAndSeal_toldPages_clearedInTheSource() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 7);
    a.discard(log.slot(0), 0, 10);
    assertTrue(device.bits(slot).isEmpty());
    assertEquals(Set.of(), take(a));
    assertEquals(Set.of(7L), take(b));
    device.write(slot, 9);
    log.seal();
    assertTrue(device.bits(slot).isEmpty());
    assertEquals(Set.of(9L), take(a));
  }

  @Test
  void startLog_secondFails_firstIsStoppedAndThereIsNoClient() {
    Device first = new Device("1");
    Device second = new Device("2");
    Device third = new Device("3");
    log.addTracker(2, third);
    log.addTracker(0, first);
    log.addTracker(1, second);
    third.failsAt = "startLog";
    var e = assertThrows(TestTracker.Fault.class, () -> log.client("a", InitialView.ALL_DIRTY));
    assertEquals("3 startLog", e.getMessage());
    assertEquals(
        List.of("1 startLog", "2 startLog", "3 startLog", "2 stopLog", "1 stopLog"), calls());
    third.failsAt = "";
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    assertEquals(
        List.of("1 startLog", "2 startLog", "3 startLog", "1 start 0", "2 start 0", "3 start 0"),
        calls());
    a.close();
    assertEquals(
        List.of("3 stop 0", "3 stopLog", "2 stop 0", "2 stopLog", "1 stop 0", "1 stopLog"),
        calls());
    assertEquals(List.of(), errors);
  }

  @Test
  void addTracker_startFails_notThere() {
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    Device device = new Device("d");
    device.failsAt = "startLog";
    assertThrows(TestTracker.Fault.class, () -> log.addTracker(0, device));
    assertEquals(Set.of(), take(a));
    assertEquals(List.of("d startLog"), calls());
  }

  @ParameterizedTest
  @ValueSource(strings = {"before collect", "collect", "clear", "afterSync", "start 0"})
  void deviceThrows_othersAreCalledAndNoWriteIsLost(String where) {
    Device bad = new Device("bad");
    Device good = new Device("good");
    bad.failsAt = where;
    log.addTracker(0, bad);
    log.addTracker(1, good);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    bad.write(slot, 1);
    good.write(slot, 2);
    assertTrue(take(a).containsAll(Set.of(1L, 2L)));
    assertFalse(errors.isEmpty());
    bad.write(slot, 1); // not armed perhaps
    assertTrue(take(a).contains(1L));
    assertTrue(take(b).containsAll(Set.of(1L, 2L)));
    bad.failsAt = "";
    if (!where.startsWith("start")) {
      take(a);
      take(b);
      assertEquals(Set.of(), take(a));
      assertEquals(Set.of(), take(b));
    }
    bad.write(slot, 1);
    good.write(slot, 2);
    assertTrue(take(a).containsAll(Set.of(1L, 2L)));
  }

  @Test
  void slotIsReplaced_writesThroughTheOldOneUntilTheWalk_areKept() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.write(slot, 6);
    log.sync(); // told, not cleared: a write there is not told again
    SlotChange change = log.change();
    LogSlot next = change.add(0, 100, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 100);
    calls.clear();
    var removed =
        change.commit(
            () -> {},
            () -> {
              assertEquals(Set.of(5L, 6L), take(a)); // of the new slot: not cleared in the old log
              device.write(slot, 5);
              device.write(slot, 7);
              device.write(slot, 150);
            });
    assertEquals(List.of("d start 0", "d stop 0"), calls());
    assertTrue(take(a).containsAll(Set.of(5L, 7L)));
    List<Long> handed = new ArrayList<>();
    removed.get(0).forEachRun((s, first, count) -> handed.add(first));
    assertEquals(List.of(150L), handed);
    device.write(next, 8);
    assertEquals(Set.of(8L), take(a));
  }

  @Test
  void slotIsReplaced_noCollectSucceeds_everyPageIsDirty() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = "before collect"; // whatever it has written, it does not say so any more
    SlotChange change = log.change();
    LogSlot next = change.add(0, 200, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 200).commit();
    assertEquals(List.of(slot.slot.entryId()), List.copyOf(device.gone));
    device.failsAt = "";
    assertEquals(200, take(a).size());
    assertEquals(Set.of(), take(a));
  }

  @Test
  void close_lastCollectFails_everyPageIsDirty() {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = "before collect";
    registration.close();
    log.rcu().barrier();
    assertEquals(200, take(a).size());
    assertEquals(Set.of(), take(a));
  }

  @ParameterizedTest
  @ValueSource(strings = {"collect", "clear"})
  void stackEndsInADevice_setsAreDoubted(String where) {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = where;
    device.stackEnds = new StackOverflowError("of a device");
    take(a);
    device.failsAt = "";
    take(a);
    assertEquals(200, take(b).size(), "in a set, perhaps, which is wrong then");
  }

  /** The guest may stop for its last take before the old slot is retired. */
  @Test
  void slotIsReplaced_eachWriteThroughTheOldOne_isInTheNextTakeAlready() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    SlotChange change = log.change();
    LogSlot next = change.add(0, 200, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 200);
    change.commit(
        () -> {},
        () -> {
          for (int i = 0; i < 3; i++) {
            device.write(slot, 5);
            assertEquals(Set.of(5L), take(a), "before the grace period is over");
          }
        });
  }

  @Test
  void slotIsReplaced_commitFails_deviceKeepsTheOldOne() {
    TestTracker backend = new TestTracker();
    DirtyLog other = DirtyLog.builder().interceptTracker(backend::over).build();
    LogSlot there = other.addSlot(0, 200, PAGE);
    Device device = new Device("d");
    other.addTracker(0, device);
    DirtyClient<LogSlot> a = other.client("a", InitialView.NONE_DIRTY);
    for (int point = 0; ; point++) {
      device.write(there, point);
      SlotChange change = other.change();
      LogSlot next = change.add(0, 200, PAGE);
      change.remove(there).carry(there, 0, next, 0, 200);
      backend.untilFault.set(point);
      try {
        change.commit();
        backend.untilFault.set(-1);
        assertTrue(point > 5);
        break;
      } catch (TestTracker.Fault e) {
        backend.untilFault.set(-1);
        if (other.slot(0) == next) {
          break; // made, and the fault came later
        }
        assertEquals(Set.of(there.slot.entryId()), device.bits.keySet(), "point " + point);
        assertTrue(take(a).contains((long) point), "point " + point);
      }
    }
  }

  @Test
  void close_toldAndUntoldPages_areToldWhenItLeaves() {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    log.sync();
    calls.clear();
    registration.close();
    registration.close();
    assertTrue(registration.isClosed());
    assertEquals(Set.of(5L), take(a)); // not cleared in the source
    device.write(slot, 5);
    device.write(slot, 6);
    assertEquals(Set.of(), take(a));
    assertEquals(List.of(), calls());
    log.rcu().barrier();
    assertEquals(List.of("d detach", "d stop 0", "d stopLog", "d close"), calls());
    assertEquals(Set.of(5L, 6L), take(a));
    log.rcu().barrier();
    assertEquals(List.of(), calls());
  }

  @Test
  void close_clientStartsBeforeItLeaves_everyPageIsDirtyThen() {
    Device device = new Device("d");
    log.addTracker(0, device).close();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    assertEquals(Set.of(), take(a)); // the device may write, and logs nothing
    log.rcu().barrier();
    assertEquals(List.of("d detach", "d close"), calls());
    assertEquals(200, take(a).size());
    assertEquals(Set.of(), take(a));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void close_slotIsRemovedBeforeItLeaves_releasedOnlyAfterThat(boolean logging) {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = logging ? log.client("a", InitialView.NONE_DIRTY) : null;
    registration.close();
    SlotChange change = log.change();
    change.remove(slot, () -> calls.add("released"));
    RemovedSlot<LogSlot> removed = change.commit().get(0);
    device.write(slot, 9);
    assertFalse(calls.contains("released"));
    log.rcu().barrier();
    assertTrue(calls.indexOf("d detach") < calls.indexOf("released"));
    assertEquals(1, calls.stream().filter("released"::equals).count());
    assertEquals(logging ? 1 : 200, removed.dirtyPages());
    if (a != null) {
      a.close();
    }
  }

  @Test
  void close_insideItsOwnCall_noOtherCallBegins() {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.onSync = registration::close;
    device.write(slot, 5);
    assertEquals(Set.of(5L), take(a));
    assertEquals(1, device.bits(slot).cardinality()); // not cleared
    assertFalse(calls.contains("d close"));
    log.rcu().barrier();
    assertTrue(calls.contains("d close"));
    assertEquals(Set.of(5L), take(a));
    assertEquals(List.of(), errors);
  }

  @Test
  void close_whileAnotherThreadIsInACall_doesNotWaitAndCloseComesAfter() throws Exception {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    CountDownLatch inside = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    device.onSync =
        () -> {
          inside.countDown();
          try {
            goOn.await();
          } catch (InterruptedException e) {
            throw new AssertionError(e);
          }
          calls.add("d ended");
        };
    Thread other = new Thread(() -> take(a));
    other.start();
    inside.await();
    registration.close();
    for (int i = 0; i < 1000; i++) {
      log.rcu().reclaimer().doWork();
    }
    assertFalse(calls.contains("d close"));
    device.onSync = () -> {};
    goOn.countDown();
    other.join();
    log.rcu().barrier();
    assertTrue(calls.indexOf("d ended") < calls.indexOf("d close"));
  }

  @Test
  void logIsCalledInsideACall_refusedAtOnce() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    List<Runnable> illegal =
        List.of(
            log::sync,
            b::take,
            b::close,
            () -> log.client("c", InitialView.ALL_DIRTY),
            () -> log.addTracker(0, new Device("e")),
            () -> log.addSlot(7, 1, PAGE),
            () -> log.change().remove(slot).commit(),
            () -> EmbeddedLog.of(log).newLock("a change").lock(),
            () -> log.rcu().synchronize(),
            () -> log.rcu().barrier());
    for (Runnable call : illegal) {
      AtomicReference<Throwable> thrown = new AtomicReference<>();
      device.onSync =
          () -> {
            try {
              call.run();
            } catch (IllegalStateException e) {
              thrown.set(e);
            }
          };
      take(a);
      assertTrue(thrown.get() != null, "call " + illegal.indexOf(call));
    }
    device.onSync = () -> {};
    device.write(slot, 5);
    assertEquals(Set.of(5L), take(a));
    assertEquals(Set.of(5L), take(b));
    assertEquals(List.of(), errors);
  }

  @Test
  void sink_usedAfterTheCall_refused() {
    AtomicReference<PageWordConsumer> kept = new AtomicReference<>();
    log.addTracker(
        0,
        slot ->
            new SlotTracker() {
              @Override
              public void collect(PageWordConsumer sink) {
                kept.set(sink);
              }
            });
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    take(a);
    assertThrows(
        IllegalStateException.class, () -> Objects.requireNonNull(kept.get()).accept(0, 1));
    assertEquals(Set.of(), take(a));
  }

  @Test
  void collect_wordOutsideTheSlot_reportedAndEveryPageIsDirty() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.write(slot, 201); // in the last word, past the end: ignored
    device.write(slot, 1000);
    assertEquals(200, take(a).size());
    assertEquals(1, errors.size());
    assertNull(errors.get(0).getCause());
  }

  @Test
  void logIsClosed_devicesLeave() {
    Device device = new Device("d");
    log.addTracker(0, device);
    log.client("a", InitialView.NONE_DIRTY);
    calls.clear();
    log.close();
    assertEquals(List.of("d stop 0", "d stopLog"), calls());
    log.rcu().barrier();
    assertEquals(List.of("d detach", "d close"), calls());
    assertThrows(IllegalStateException.class, () -> log.addTracker(0, device));
  }
}
