package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** docs/bugs.md row 7: every barrier and pause finishes or fails with a diagnosis. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class BarrierTest {
  private static final int PAGE = 4096;

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final Mode mode;
  private final DirtyLog log;
  private final LogSlot slot;

  BarrierTest(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().errorHandler(errors::add).build();
    this.slot = log.addSlot(0, 100, PAGE);
  }

  /** A guest that runs empty blocks until it is told to stop. */
  private static void runBlocks(LogVcpu vcpu, AtomicBoolean stop) {
    while (!stop.get()) {
      vcpu.safepoint();
    }
    vcpu.offline();
  }

  private DirtyLog impatient() {
    return mode.builder().timeout(Duration.ofMillis(30)).build();
  }

  private static void blockedInHostCall(CountDownLatch latch) throws InterruptedException {
    latch.await();
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
  void bug07_barrierPauseTakeOfflineInsideTheArmCallback_failFastAndLoseNothing() {
    List<VcpuException> thrown = new ArrayList<>();
    List<Runnable> tries = new ArrayList<>();
    LogVcpu vcpu =
        log.addVcpu(() -> {
          for (Runnable attempt : tries) {
            thrown.add(assertThrows(VcpuException.class, attempt::run));
          }
        });
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    tries.add(log::barrier);
    tries.add(log::pause);
    tries.add(() -> client.takeRange(log.slot(0), 5, 5));
    tries.add(log::seal);
    tries.add(() -> vcpu.offline());
    client.takeAtMost(1).close();
    vcpu.safepoint();
    assertEquals(5, thrown.size());
    for (VcpuException e : thrown) {
      assertTrue(String.valueOf(e.getMessage()).contains("vCPU 0"), e.getMessage());
      assertTrue(Arrays.toString(e.getStackTrace()).contains("BarrierTest"));
    }
    tries.clear();
    assertFalse(log.isSealed());
    assertFalse(vcpu.state().isOffline());
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(100, batch.pageCount());
    }
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
  void pause_vcpuRuns_stopsItBetweenBlocksUntilClosed() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean stop = new AtomicBoolean();
      AtomicInteger blocks = new AtomicInteger();
      AtomicBoolean inBlock = new AtomicBoolean();
      Future<?> running =
          guest.begin(() -> {
            while (!stop.get()) {
              vcpu.safepoint();
              inBlock.set(true);
              blocks.incrementAndGet();
              inBlock.set(false);
            }
            vcpu.close();
          });
      for (int i = 0; i < 200; i++) {
        int before;
        try (VcpuPause pause = log.pause()) {
          assertNotNull(pause);
          assertFalse(inBlock.get());
          before = blocks.get();
          for (int k = 0; k < 100; k++) {
            log.barrier();
          }
          assertEquals(before, blocks.get());
        }
        GuestThread.await(() -> blocks.get() > before);
      }
      stop.set(true);
      GuestThread.end(running);
    }
  }

  @Test
  void closeOfAPause_twiceWhileAnotherHasBegun_leavesTheOtherAlone() {
    VcpuPause first = log.pause();
    first.close();
    VcpuPause second = log.pause();
    first.close();
    assertThrows(VcpuException.class, log::pause); // the second is on
    second.close();
    log.pause().close();
  }

  @Test
  void pause_vcpuComesOnlineMeanwhile_waitsUntilItIsClosed() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean ran = new AtomicBoolean();
      Future<?> coming;
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        coming =
            guest.begin(() -> {
              vcpu.online();
              ran.set(true);
              vcpu.close();
            });
        for (int k = 0; k < 1000; k++) {
          log.barrier();
        }
        assertFalse(ran.get());
      }
      GuestThread.end(coming);
      assertTrue(ran.get());
    }
  }

  @Test
  void bug07_secondPauseByTheSameThread_failsFastAndTheFirstGoesOn() {
    LogVcpu vcpu = log.addVcpu();
    for (boolean online : new boolean[] {false, true}) {
      if (online) {
        vcpu.online();
      }
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        VcpuException e = assertThrows(VcpuException.class, log::pause);
        assertTrue(
            String.valueOf(e.getMessage()).contains(Thread.currentThread().getName()),
            e.getMessage());
        assertThrows(VcpuException.class, log::seal);
      }
      log.pause().close();
    }
  }

  @Test
  void bug07_pauseHolderBringsAVcpuOnline_failsFast() {
    LogVcpu vcpu = log.addVcpu();
    LogVcpu own = log.addVcpu();
    try (VcpuPause pause = log.pause()) {
      assertNotNull(pause);
      VcpuException e = assertThrows(VcpuException.class, () -> vcpu.online());
      assertTrue(String.valueOf(e.getMessage()).contains("vCPU 0"), e.getMessage());
      assertThrows(VcpuException.class, vcpu::safepoint);
      assertThrows(VcpuException.class, () -> vcpu.mark(slot, 0, 1));
      assertTrue(vcpu.state().isOffline());
    }
    vcpu.safepoint();
    vcpu.offline();
    own.online();
    try (VcpuPause pause = log.pause()) {
      assertNotNull(pause);
      own.safepoint(); // it holds the pause: it runs
      own.offline();
      own.online();
      own.offline();
      assertThrows(VcpuException.class, () -> vcpu.online());
    }
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
            inside.countDown();
            blockedInHostCall(latch);
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
  void bug07_pauseHeldByAnother_secondFailsNamingTheHolderAndItsStack() {
    DirtyLog quick = impatient();
    try (GuestThread holder = new GuestThread("pause holder")) {
      VcpuPause held = GuestThread.end(holder.beginCall(quick::pause));
      CountDownLatch latch = new CountDownLatch(1);
      Future<?> busy = holder.begin(() -> blockedInHostCall(latch));
      VcpuTimeoutException e = assertThrows(VcpuTimeoutException.class, quick::pause);
      assertTrue(String.valueOf(e.getMessage()).contains("pause holder"), e.getMessage());
      assertNotNull(e.getCause());
      latch.countDown();
      GuestThread.end(busy);
      held.close();
      quick.pause().close();
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
  void armCallback_throws_comesOutOfTheSafepointAndRunsAgainAtTheNext() {
    int[] runs = {0};
    boolean[] failing = {true};
    LogVcpu vcpu =
        log.addVcpu(() -> {
          runs[0]++;
          if (failing[0]) {
            throw new ArithmeticException("arm");
          }
        });
    vcpu.online();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    try (GuestThread collector = new GuestThread("collector")) {
      AtomicBoolean done = new AtomicBoolean();
      Future<?> take =
          collector.begin(() -> {
            client.take().close();
            done.set(true);
          });
      GuestThread.await(() -> {
        try {
          vcpu.safepoint();
        } catch (ArithmeticException e) {
          return true;
        }
        return false;
      });
      assertThrows(ArithmeticException.class, vcpu::safepoint);
      assertEquals(2, runs[0]);
      assertFalse(done.get(), "not acknowledged yet");
      failing[0] = false;
      vcpu.safepoint();
      assertEquals(3, runs[0]);
      GuestThread.end(take);
      vcpu.safepoint();
      assertEquals(3, runs[0]);
    }
  }

  @Test
  void armCallback_pagesArmedWhileOffline_runsAsItComesOnline() {
    AtomicReference<Thread> ranIn = new AtomicReference<>();
    LogVcpu vcpu = log.addVcpu(() -> ranIn.set(Thread.currentThread()));
    vcpu.online();
    vcpu.offline();
    try (GuestThread collector = new GuestThread("collector")) {
      collector.run(() -> log.client("c", InitialView.NONE_DIRTY));
    }
    assertNull(ranIn.get());
    vcpu.online();
    assertSame(Thread.currentThread(), ranIn.get());
  }

  @Test
  void timeout_badValues_throw() {
    DirtyLogBuilder builder = DirtyLog.builder();
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ZERO));
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofMillis(-1)));
    assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofHours(25)));
  }
}
