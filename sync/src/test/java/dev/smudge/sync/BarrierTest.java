package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** docs/bugs.md row 7: every barrier finishes or fails with a diagnosis. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class BarrierTest extends BarrierCase {
  BarrierTest(Mode mode) {
    super(mode);
  }

  @Test
  void bug07_barrierFromVcpu_aloneAndWithOthersRunning_finishes() {
    LogVcpu mine = log.addVcpu();
    mine.online();
    log.barrier();
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestThread other = new GuestThread("other")) {
      LogVcpu its = log.addVcpu();
      Future<?> running = other.begin(() -> runBlocks(its, stop));
      for (int i = 0; i < 100; i++) {
        log.barrier();
      }
      stop.set(true);
      GuestThread.end(running);
    }
    assertFalse(mine.state().isOffline(), "online again after its own barriers");
    assertTrue(errors.isEmpty());
  }

  @Test
  void bug07_vcpuParkedInAPause_barrierFinishes() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean stop = new AtomicBoolean();
      Future<?> running = guest.begin(() -> runBlocks(vcpu, stop));
      GuestThread.await(() -> !vcpu.state().isOffline());
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        assertTrue(vcpu.state().isOffline());
        log.barrier();
        log.client("c", InitialView.ALL_DIRTY).take().close();
        assertTrue(vcpu.state().isOffline());
      }
      GuestThread.await(() -> !vcpu.state().isOffline());
      stop.set(true);
      GuestThread.end(running);
    }
  }

  @Test
  void bug07_vcpuOfflineOrItsThreadEndedOrClosed_barrierFinishes() {
    LogVcpu never = log.addVcpu();
    LogVcpu offline = log.addVcpu();
    LogVcpu closed = log.addVcpu();
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(() -> {
        closed.safepoint();
        closed.close();
        offline.safepoint();
        offline.offline();
      });
      log.barrier();
    }
    log.barrier();
    assertTrue(never.state().isOffline());
    assertTrue(errors.isEmpty());
  }

  @Test
  void bug07_vcpuDied_barrierAndPauseFinishAndItIsReportedOnce() throws Exception {
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    Thread thread = new Thread(() -> vcpu.mark(slot, 7 * PAGE, 1), "the late guest");
    thread.start();
    thread.join();
    log.barrier();
    log.pause().close();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(1, batch.pageCount(), "what it wrote before is not lost");
    }
    assertEquals(1, errors.size());
    String message = String.valueOf(errors.element().getMessage());
    assertTrue(message.contains("vCPU 0") && message.contains("the late guest"), message);
    VcpuException e = assertThrows(VcpuException.class, () -> vcpu.online());
    assertTrue(String.valueOf(e.getMessage()).contains("the late guest"), e.getMessage());
    vcpu.close();
    vcpu.close();
    LogVcpu next = log.addVcpu();
    next.safepoint();
    log.barrier();
    assertEquals(1, errors.size());
  }

  @Test
  void bug07_vcpuDiesWhileTheBarrierWaits_barrierFinishes() throws Exception {
    LogVcpu vcpu = log.addVcpu();
    CountDownLatch die = new CountDownLatch(1);
    Thread thread =
        new Thread(
            () -> {
              vcpu.online();
              try {
                die.await();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            },
            "the late guest");
    thread.start();
    GuestThread.await(() -> !vcpu.state().isOffline());
    try (GuestThread collector = new GuestThread("collector")) {
      Future<?> waiting = collector.begin(log::barrier);
      die.countDown();
      GuestThread.end(waiting);
    }
    thread.join();
    assertEquals(1, errors.size());
  }

  @Test
  void bug07_barrier_waitsForTheBlockThatIsRunning() {
    try (GuestThread guest = new GuestThread("guest");
        GuestThread collector = new GuestThread("collector")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean blockEnded = new AtomicBoolean();
      AtomicBoolean seenAfterBarrier = new AtomicBoolean();
      guest.run(vcpu::safepoint); // online, in the middle of a block
      Future<?> barrier =
          collector.begin(() -> {
            log.barrier();
            seenAfterBarrier.set(blockEnded.get());
          });
      for (int i = 0; i < 3; i++) {
        assertFalse(barrier.isDone());
        guest.run(() -> {}); // goes on in its block
      }
      guest.run(() -> {
        blockEnded.set(true);
        vcpu.safepoint();
      });
      // The request may come after that safepoint.
      GuestThread.await(() -> {
        guest.run(vcpu::safepoint);
        return barrier.isDone();
      });
      GuestThread.end(barrier);
      assertTrue(seenAfterBarrier.get());
      guest.run(vcpu::close);
    }
  }

  @Test
  void bug07_twoAndThreeVcpusSyncAtTheSameTime_allFinish() throws Exception {
    for (int n = 2; n <= 3; n++) {
      CyclicBarrier start = new CyclicBarrier(n);
      List<Future<?>> running = new ArrayList<>();
      List<GuestThread> guests = new ArrayList<>();
      for (int i = 0; i < n; i++) {
        GuestThread guest = new GuestThread("guest " + i);
        guests.add(guest);
        LogVcpu vcpu = log.addVcpu();
        DirtyClient<LogSlot> client = log.client("c" + i, InitialView.ALL_DIRTY);
        running.add(
            guest.begin(() -> {
              vcpu.online();
              start.await();
              for (int k = 0; k < 500; k++) {
                vcpu.mark(slot, k % 100L * PAGE, 1);
                try (DirtyBatch<LogSlot> batch = client.take()) {
                  batch.commit();
                }
              }
              vcpu.close();
              client.close();
            }));
      }
      running.forEach(GuestThread::end);
      guests.forEach(GuestThread::close);
    }
    assertTrue(errors.isEmpty());
  }

  @Test
  void bug07_pausesBarriersAndTakesFromVcpusAndOthersAtOnce_allFinish() {
    List<Future<?>> running = new ArrayList<>();
    List<GuestThread> threads = new ArrayList<>();
    AtomicInteger paused = new AtomicInteger();
    for (int i = 0; i < 5; i++) {
      int kind = i;
      GuestThread thread = new GuestThread("thread " + i);
      threads.add(thread);
      LogVcpu vcpu = i < 4 ? log.addVcpu() : null;
      DirtyClient<LogSlot> client = log.client("c" + i, InitialView.ALL_DIRTY);
      running.add(
          thread.begin(() -> {
            for (int k = 0; k < 200; k++) {
              if (vcpu != null) {
                vcpu.safepoint();
              }
              if (kind % 4 < 2) {
                try (VcpuPause pause = log.pause()) {
                  assertNotNull(pause);
                  assertEquals(1, paused.incrementAndGet(), "one pause at a time");
                  client.take().close();
                  paused.decrementAndGet();
                }
              } else if (kind == 2) {
                log.barrier();
              } else {
                client.take().close();
              }
            }
            if (vcpu != null) {
              vcpu.close();
            }
          }));
    }
    running.forEach(GuestThread::end);
    threads.forEach(GuestThread::close);
    assertTrue(errors.isEmpty());
  }

  @Test
  void bug07_vcpuStuckInAHostCall_barrierFailsNamingItAndItsStackAndLosesNothing()
      throws Exception {
    DirtyLog quick = impatient();
    LogSlot ram = quick.addSlot(0, 100, PAGE);
    try (GuestThread guest = new GuestThread("stuck guest")) {
      quick.addVcpu();
      LogVcpu vcpu = quick.addVcpu();
      DirtyClient<LogSlot> client = quick.client("c", InitialView.ALL_DIRTY);
      CountDownLatch latch = new CountDownLatch(1);
      CountDownLatch inside = new CountDownLatch(1);
      guest.run(() -> vcpu.mark(ram, 0, 1));
      Future<?> stuck =
          guest.begin(() -> {
            blockedInHostCall(inside, latch);
            vcpu.offline();
          });
      inside.await();
      List<Runnable> calls =
          List.of(
              quick::barrier,
              client::take,
              () -> client.discard(ram, 0, 10),
              () -> quick.client("d", InitialView.NONE_DIRTY),
              quick::pause,
              quick::seal);
      for (Runnable call : calls) {
        VcpuTimeoutException e = assertThrows(VcpuTimeoutException.class, call::run);
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("vCPU 1") && message.contains("stuck guest"), message);
        Throwable stack = e.getCause();
        assertNotNull(stack);
        assertTrue(
            Arrays.toString(stack.getStackTrace()).contains("blockedInHostCall"),
            () -> Arrays.toString(stack.getStackTrace()));
        assertEquals(100, client.dirtyPages());
        assertFalse(quick.isSealed());
      }
      latch.countDown();
      GuestThread.end(stuck);
      guest.run(vcpu::safepoint); // no pause is left behind
      guest.run(vcpu::offline);
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(100, batch.pageCount());
        batch.commit();
      }
      assertEquals(0, client.dirtyPages());
    }
  }

  @Test
  void interrupted_whileItWaits_barrierAndPauseFinishAndTheFlagIsKept() {
    try (GuestThread guest = new GuestThread("guest");
        GuestThread collector = new GuestThread("collector")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean stop = new AtomicBoolean();
      Future<?> running = guest.begin(() -> runBlocks(vcpu, stop));
      collector.run(() -> {
        Thread.currentThread().interrupt();
        log.barrier();
        log.pause().close();
        assertTrue(Thread.interrupted());
      });
      stop.set(true);
      GuestThread.end(running);
    }
  }

  @Test
  void timeout_badValues_throw() {
    DirtyLogBuilder builder = DirtyLog.builder();
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ZERO));
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofMillis(-1)));
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofHours(25)));
  }
}
