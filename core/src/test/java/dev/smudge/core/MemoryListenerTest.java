package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.Registration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What listeners are told, in which order, and what one that throws does to the others. */
@Timeout(60)
class MemoryListenerTest extends MemoryListenerCase {
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
}
