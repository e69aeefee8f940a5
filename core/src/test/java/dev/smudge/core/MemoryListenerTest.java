package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Listeners that come and go: order, replay, isolation, and when the last call is over. */
@Timeout(60)
class MemoryListenerTest {
  private static final int PAGE = 4096;

  private final List<Throwable> errors = new CopyOnWriteArrayList<>();
  private final List<String> calls = new CopyOnWriteArrayList<>();
  private final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  private final GuestMemory memory = GuestMemory.over(log);

  private class Recorder implements MemoryListener {
    final String name;
    final AtomicReference<Runnable> onRegionAdd = new AtomicReference<>(() -> {});
    String failsAt = "";

    Recorder(String name) {
      this.name = name;
    }

    private void call(String what) {
      calls.add(name + " " + what);
      if (!failsAt.isEmpty() && what.startsWith(failsAt)) {
        throw new IllegalArgumentException(name + " " + what);
      }
    }

    @Override
    public void begin() {
      call("begin");
    }

    @Override
    public void regionAdd(GuestSlot slot) {
      call("add " + slot.id());
      Runnable action = onRegionAdd.get();
      if (action != null) {
        action.run();
      }
    }

    @Override
    public void regionDel(GuestSlot slot) {
      call("del " + slot.id());
    }

    @Override
    public void regionUnchanged(GuestSlot slot) {
      call("same " + slot.id());
    }

    @Override
    public void commit() {
      call("commit");
    }

    @Override
    public Tracker tracker() {
      return new Tracker() {
        @Override
        public void startLog() {
          call("start");
        }

        @Override
        public void stopLog() {
          call("stop");
        }

        @Override
        public SlotTracker newSlot(TrackedSlot slot) {
          return new SlotTracker() {
            @Override
            public void start() {
              call("logStart " + slot.id());
            }

            @Override
            public void stop() {
              call("logStop " + slot.id());
            }
          };
        }
      };
    }

    @Override
    public void close() {
      call("close");
    }
  }

  /** Walks through listeners without a change of the map. */
  private final class Listeners {
    private final AddressSpace space = new AddressSpace(log);

    Registration add(int priority, MemoryListener listener, List<GuestSlot> slots) {
      ListenerLink link = new ListenerLink(space, priority, listener);
      space.listeners().add(link, mapped(slots));
      return link;
    }

    void changed(GuestSlot[] before, GuestSlot[] after) {
      space.listeners().changed(mapped(Arrays.asList(before)), mapped(Arrays.asList(after)));
    }

    private MappedSlot[] mapped(List<GuestSlot> slots) {
      return slots.stream().map(slot -> slot.mapped).toArray(MappedSlot[]::new);
    }
  }

  private List<String> calls() {
    List<String> copy = new ArrayList<>(calls);
    calls.clear();
    return copy;
  }

  private void reclaim() {
    log.rcu().reclaim();
  }

  private GuestSlot add(int id) {
    return memory.addSlot(id, id * 0x1_0000L, 4 * PAGE);
  }

  @Test
  void addSlot_threeListeners_byPriorityThenByOrder() {
    memory.addListener(5, new Recorder("b"));
    memory.addListener(-1, new Recorder("a"));
    memory.addListener(5, new Recorder("c"));
    calls.clear();
    add(2);
    assertEquals(
        List.of(
            "a begin",
            "b begin",
            "c begin",
            "a add 2",
            "b add 2",
            "c add 2",
            "a commit",
            "b commit",
            "c commit"),
        calls());
    add(1);
    assertEquals(
        List.of(
            "a begin",
            "b begin",
            "c begin",
            "a add 1",
            "b add 1",
            "c add 1",
            "a same 2",
            "b same 2",
            "c same 2",
            "a commit",
            "b commit",
            "c commit"),
        calls());
  }

  @Test
  void changed_removal_inReverseOrderFromTheHighestAddress() {
    GuestSlot one = add(1);
    GuestSlot two = add(2);
    GuestSlot three = add(3);
    Listeners listeners = new Listeners();
    GuestSlot[] before = {one, two, three};
    listeners.add(0, new Recorder("a"), Arrays.asList(before));
    listeners.add(1, new Recorder("b"), Arrays.asList(before));
    calls.clear();
    listeners.changed(before, new GuestSlot[] {two});
    assertEquals(
        List.of(
            "a begin",
            "b begin",
            "b del 3",
            "a del 3",
            "b del 1",
            "a del 1",
            "a same 2",
            "b same 2",
            "a commit",
            "b commit"),
        calls());
  }

  @Test
  void addListener_late_isReplayedTheMap() {
    add(3);
    add(1);
    memory.addListener(0, new Recorder("a"));
    assertEquals(List.of("a begin", "a add 1", "a add 3", "a commit"), calls());
  }

  @Test
  void addListener_whileLogging_logIsStartedBeforeAnythingIsWritten() {
    add(3);
    add(1);
    memory.client("c", InitialView.ALL_DIRTY);
    memory.addListener(0, new Recorder("a"));
    assertEquals(
        List.of(
            "a start", "a logStart 3", "a logStart 1", "a begin", "a add 1", "a add 3", "a commit"),
        calls());
    add(2);
    assertEquals("a logStart 2", calls.get(0));
    assertTrue(calls.contains("a add 2"));
  }

  @Test
  void addListener_startFails_notRegistered() {
    add(1);
    DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);
    Recorder listener = new Recorder("a");
    listener.failsAt = "start";
    assertThrows(IllegalArgumentException.class, () -> memory.addListener(0, listener));
    add(2);
    client.take().close();
    client.close();
    memory.close();
    assertEquals(List.of("a start"), calls());
    assertEquals(List.of(), errors);
  }

  @Test
  void client_thirdListenerFailsToStart_othersAreStoppedInReverse() {
    Recorder bad = new Recorder("c");
    memory.addListener(3, bad);
    memory.addListener(2, new Recorder("b"));
    memory.addListener(1, new Recorder("a"));
    bad.failsAt = "start";
    calls.clear();
    assertThrows(IllegalArgumentException.class, () -> memory.client("c", InitialView.NONE_DIRTY));
    assertEquals(List.of("a start", "b start", "c start", "b stop", "a stop"), calls());
  }

  @ParameterizedTest
  @ValueSource(strings = {"begin", "add", "same", "commit", "del", "close", "logStart", "logStop"})
  void listenerThrows_reportedAndOthersAreCalled(String where) {
    Recorder bad = new Recorder("bad");
    bad.failsAt = where;
    Registration registration = memory.addListener(0, bad);
    memory.addListener(1, new Recorder("good"));
    add(1);
    DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
    add(2);
    client.close();
    registration.close();
    log.rcu().barrier();
    memory.close();
    assertFalse(errors.isEmpty());
    errors.forEach(
        e -> assertTrue(String.valueOf(e.getMessage()).startsWith("bad " + where), e::toString));
    for (String what : List.of("begin", "add 1", "add 2", "same 1", "commit", "close")) {
      assertTrue(calls.contains("good " + what), what);
      assertTrue(calls.contains("bad " + what), what);
    }
  }

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
  void callback_changesTheMapOrRegisters_failsAtOnce() {
    Recorder listener = new Recorder("a");
    memory.addListener(0, listener);
    for (Runnable illegal :
        List.<Runnable>of(
            () -> add(7),
            () -> memory.addListener(0, new Recorder("x")),
            memory::close,
            () -> log.rcu().barrier())) {
      AtomicReference<Throwable> thrown = new AtomicReference<>();
      listener.onRegionAdd.set(
          () -> thrown.set(assertThrows(IllegalStateException.class, illegal::run)));
      add(memory.slots().size());
      assertTrue(thrown.get() != null);
    }
    assertEquals(List.of(), errors);
    assertEquals(4, memory.slots().size());
    memory.close();
  }

  @Test
  void vcpuWaitsForAChange_isOffline() throws Exception {
    Recorder listener = new Recorder("a");
    memory.addListener(0, listener);
    Vcpu vcpu = memory.addVcpu();
    CountDownLatch inside = new CountDownLatch(1);
    AtomicBoolean waits = new AtomicBoolean();
    DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
    var guest =
        Threads.start(
            "guest",
            index -> {
              vcpu.online();
              while (inside.getCount() > 0) {
                vcpu.safepoint();
              }
              waits.set(true);
              memory.addSlot(9, 0x9_0000, PAGE);
              vcpu.offline();
            },
            0);
    listener.onRegionAdd.set(() -> {
      listener.onRegionAdd.set(() -> {});
      inside.countDown();
      while (!waits.get()) {
        Thread.onSpinWait();
      }
      assertDoesNotThrow(() -> client.take().close()); // waits for the vCPU
    });
    add(1);
    Threads.joinAll(List.of(guest));
    assertEquals(List.of(), errors);
    assertEquals(2, memory.slots().size());
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
