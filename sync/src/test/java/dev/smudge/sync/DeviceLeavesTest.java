package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A device leaves, and what it has told is not lost; calls while it is called. */
class DeviceLeavesTest extends DeviceTrackerCase {
  @Test
  void close_lastCollectFails_everyPageIsDirty() {
    Device device = new Device("d");
    Registration registration = log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = "before collect";
    registration.close();
    log.rcu().barrier();
    assertEquals(200, Dirty.take(a).size());
    assertEquals(Set.of(), Dirty.take(a));
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
    assertEquals(Set.of(5L), Dirty.take(a)); // not cleared in the source
    device.write(slot, 5);
    device.write(slot, 6);
    assertEquals(Set.of(), Dirty.take(a));
    assertEquals(List.of(), calls());
    log.rcu().barrier();
    assertEquals(List.of("d detach", "d stop 0", "d stopLog", "d close"), calls());
    assertEquals(Set.of(5L, 6L), Dirty.take(a));
    log.rcu().barrier();
    assertEquals(List.of(), calls());
  }

  @Test
  void close_clientStartsBeforeItLeaves_everyPageIsDirtyThen() {
    Device device = new Device("d");
    log.addTracker(0, device).close();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    assertEquals(Set.of(), Dirty.take(a)); // the device may write, and logs nothing
    log.rcu().barrier();
    assertEquals(List.of("d detach", "d close"), calls());
    assertEquals(200, Dirty.take(a).size());
    assertEquals(Set.of(), Dirty.take(a));
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
    assertEquals(Set.of(5L), Dirty.take(a));
    assertEquals(1, device.bits(slot).cardinality()); // not cleared
    assertFalse(calls.contains("d close"));
    log.rcu().barrier();
    assertTrue(calls.contains("d close"));
    assertEquals(Set.of(5L), Dirty.take(a));
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
    Thread other = new Thread(() -> Dirty.take(a));
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
      Dirty.take(a);
      assertTrue(thrown.get() != null, "call " + illegal.indexOf(call));
    }
    device.onSync = () -> {};
    device.write(slot, 5);
    assertEquals(Set.of(5L), Dirty.take(a));
    assertEquals(Set.of(5L), Dirty.take(b));
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
    Dirty.take(a);
    assertThrows(
        IllegalStateException.class, () -> Objects.requireNonNull(kept.get()).accept(0, 1));
    assertEquals(Set.of(), Dirty.take(a));
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
