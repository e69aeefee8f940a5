package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Listeners that leave: what they are told, and when the last call is over. */
@Timeout(60)
class MemoryListenerCloseTest extends MemoryListenerCase {
  @Test
  void close_registered_isReplayedItsRemovalOnceInATask() {
    add(1);
    add(2);
    memory.client("c", InitialView.ALL_DIRTY);
    Registration registration = memory.addListener(0, new Recorder("a"));
    calls.clear();
    registration.close();
    registration.close();
    add(3); // it is not called
    assertEquals(List.of(), calls());
    log.rcu().barrier();
    registration.close();
    log.rcu().barrier();
    assertEquals(
        List.of(
            "a begin",
            "a del 2",
            "a del 1",
            "a commit",
            "a logStop 1",
            "a logStop 2",
            "a stop",
            "a close"),
        calls());
  }

  @Test
  void close_insideItsOwnCallback_onlyWhatItWasToldIsTakenBack() {
    Recorder listener = new Recorder("a");
    Recorder other = new Recorder("b");
    Registration registration = memory.addListener(0, listener);
    memory.addListener(1, other);
    listener.onRegionAdd.set(registration::close);
    calls.clear();
    add(1);
    assertEquals(List.of("a begin", "b begin", "a add 1", "b add 1", "b commit"), calls());
    log.rcu().barrier();
    assertEquals(List.of("a begin", "a del 1", "a commit", "a close"), calls());
    assertEquals(List.of(), errors);
  }

  @Test
  void close_insideAReadSideSection_endsAtOnce() {
    Registration registration = memory.addListener(0, new Recorder("a"));
    calls.clear();
    log.rcu().enter();
    registration.close();
    for (int i = 0; i < 1000; i++) {
      reclaim();
    }
    assertEquals(List.of(), calls());
    log.rcu().exit();
    log.rcu().barrier();
    assertEquals(List.of("a begin", "a commit", "a close"), calls());
  }

  @Test
  void close_anotherThreadInItsCallback_doesNotWait() throws Exception {
    Recorder listener = new Recorder("a");
    Registration registration = memory.addListener(0, listener);
    CountDownLatch inside = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    listener.onRegionAdd.set(() -> {
      inside.countDown();
      try {
        goOn.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      calls.add("ended");
    });
    var adder = Threads.start("adder", index -> add(1), 0);
    inside.await();
    registration.close();
    for (int i = 0; i < 1000; i++) {
      reclaim();
    }
    assertFalse(calls.contains("a close"));
    goOn.countDown();
    Threads.joinAll(List.of(adder));
    log.rcu().barrier();
    assertTrue(calls.indexOf("ended") < calls.indexOf("a close"));
    assertFalse(calls.subList(0, calls.indexOf("ended")).contains("a del 1"));
  }

  @Test
  void memoryIsClosed_listenersLeaveBeforeItsRamIsUnmapped() {
    GuestSlot slot = add(1);
    memory.addListener(
        0,
        new Recorder("a") {
          @Override
          public void regionDel(GuestSlot gone) {
            slot.ram().set(java.lang.foreign.ValueLayout.JAVA_BYTE, 0, (byte) 1);
            super.regionDel(gone);
          }
        });
    memory.client("c", InitialView.ALL_DIRTY);
    calls.clear();
    log.rcu().enter();
    assertThrows(IllegalStateException.class, memory::close);
    log.rcu().exit();
    add(2); // nothing was changed
    calls.clear();
    memory.close();
    assertEquals(
        List.of(
            "a logStop 1",
            "a logStop 2",
            "a stop",
            "a begin",
            "a del 2",
            "a del 1",
            "a commit",
            "a close"),
        calls());
    assertEquals(List.of(), errors);
    assertFalse(slot.ram().scope().isAlive());
    assertThrows(IllegalStateException.class, () -> memory.addListener(0, new Recorder("b")));
    memory.close();
    assertEquals(List.of(), calls());
  }

  /** Counts calls under way, and finds a call during or after close. */
  private static final class Fragile implements MemoryListener {
    final AtomicInteger closes = new AtomicInteger();
    final AtomicInteger wrong;
    final AtomicInteger inside = new AtomicInteger();

    Fragile(AtomicInteger wrong) {
      this.wrong = wrong;
    }

    private void call() {
      inside.incrementAndGet();
      if (closes.get() != 0) {
        wrong.incrementAndGet();
      }
      Thread.onSpinWait();
      if (closes.get() != 0) {
        wrong.incrementAndGet();
      }
      inside.decrementAndGet();
    }

    @Override
    public void begin() {
      call();
    }

    @Override
    public void regionUnchanged(GuestSlot slot) {
      call();
    }

    @Override
    public Tracker tracker() {
      return new Tracker() {
        @Override
        public SlotTracker newSlot(TrackedSlot slot) {
          return new SlotTracker() {
            @Override
            public void collect(PageWordConsumer sink) {
              call();
            }
          };
        }

        @Override
        public void afterSync() {
          call();
        }
      };
    }

    @Override
    public void close() {
      if (inside.get() != 0) {
        wrong.incrementAndGet();
      }
      closes.incrementAndGet();
    }
  }

  @Test
  void close_besideTenThousandWalks_closeOnceAndNeverDuringACall() {
    GuestSlot[] map = {add(1), add(2)};
    Listeners listeners = new Listeners();
    DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
    AtomicInteger wrong = new AtomicInteger();
    AtomicInteger registered = new AtomicInteger();
    List<Fragile> all = new CopyOnWriteArrayList<>();
    AtomicBoolean stop = new AtomicBoolean();
    var walker =
        Threads.start(
            "walker",
            index -> {
              for (int i = 0; i < 10_000 || registered.get() < 500; i++) {
                listeners.changed(map, map);
                if (i % 4 == 0) {
                  client.take().close();
                }
              }
              stop.set(true);
            },
            0);
    while (!stop.get()) {
      Fragile listener = new Fragile(wrong);
      all.add(listener);
      Registration registration = listeners.add(0, listener, Arrays.asList(map));
      reclaim();
      registration.close();
      registration.close();
      reclaim();
      registered.incrementAndGet();
    }
    Threads.joinAll(List.of(walker));
    log.rcu().barrier();
    assertEquals(0, wrong.get());
    all.forEach(l -> assertEquals(1, l.closes.get()));
    assertEquals(List.of(), errors);
    memory.close();
  }

  @Test
  void slotIsRemoved_afterUnregister_logSlotIsReleasedAfterTheListenerLeft() {
    GuestSlot slot = add(1);
    LogSlot logSlot = slot.log();
    Registration registration = memory.addListener(0, new Recorder("a"));
    calls.clear();
    registration.close();
    EmbeddedLog embedded = EmbeddedLog.of(log);
    MapChange change = embedded.beginChange(embedded.newLock("a change"), true);
    change.remove(logSlot, () -> calls.add("released"));
    change.swap(() -> {});
    change.end();
    change.retire();
    assertEquals(List.of(), calls());
    log.rcu().barrier();
    assertEquals(List.of("a begin", "a del 1", "a commit", "released", "a close"), calls());
  }
}
