package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Back-pressure by waiting: {@link RingFullPolicy#WAIT}. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingFullTest {
  private static final int PAGE = 4096;
  private static final int ENTRIES = 8;
  private static final int RESERVE = 2;
  private static final int SOFT_FULL = ENTRIES - RESERVE;

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();

  private DirtyLog log(Duration timeout) {
    return DirtyLog.builder()
        .ring(ENTRIES, RESERVE, RingFullPolicy.WAIT)
        .timeout(timeout)
        .errorHandler(errors::add)
        .build();
  }

  private DirtyLog log() {
    return log(Duration.ofSeconds(30));
  }

  private static void mark(DirtyLog log, LogVcpu vcpu, int from, int to) {
    for (int page = from; page < to; page++) {
      vcpu.mark(log.slot(0), (long) page * PAGE, 1);
    }
  }

  /** Begins a safepoint at which the vCPU waits. */
  private static Future<?> fill(DirtyLog log, GuestThread guest, LogVcpu vcpu) {
    guest.run(() -> {
      mark(log, vcpu, 0, SOFT_FULL - 1);
      vcpu.safepoint(); // one entry below: it does not wait
      assertFalse(vcpu.state().isOffline());
      mark(log, vcpu, SOFT_FULL - 1, SOFT_FULL);
      assertFalse(vcpu.state().isOffline(), "not in the middle of a block");
    });
    Future<?> safepoint = guest.begin(vcpu::safepoint);
    GuestThread.await(vcpu.state()::isOffline);
    return safepoint;
  }

  @Test
  void softFull_threadIsInterrupted_runsOnInterruptedAndLosesNothing() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    CompletableFuture<Thread> thread = new CompletableFuture<>();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            mark(log, vcpu, 0, SOFT_FULL);
            thread.complete(Thread.currentThread());
            vcpu.safepoint();
            assertTrue(Thread.currentThread().isInterrupted());
            mark(log, vcpu, SOFT_FULL, 50);
            vcpu.safepoint(); // does not wait
            vcpu.close();
          });
      Thread waiting = thread.join();
      GuestThread.await(vcpu.state()::isOffline);
      assertWaits(running, vcpu, log);
      waiting.interrupt();
      GuestThread.end(running);
    }
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(50, batch.pageCount());
      batch.commit();
    }
    assertEquals(50 - ENTRIES, log.counters().ringSpills());
    assertEquals(List.of(), List.copyOf(errors));
  }

  private static void assertWaits(Future<?> safepoint, LogVcpu vcpu, DirtyLog log) {
    for (int i = 0; i < 3; i++) {
      log.barrier();
      log.pause().close();
    }
    assertFalse(safepoint.isDone());
    assertTrue(vcpu.state().isOffline());
  }

  /** What ends the wait. */
  enum End {
    TAKE {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        client.take().close();
      }
    },
    SYNC {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        log.sync();
      }
    },
    DISCARD {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        client.discard(log.slot(0), 0, 1);
      }
    },
    REAPER {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) throws Exception {
        assertEquals(SOFT_FULL, log.reaper().doWork());
      }
    },
    ANOTHER_VCPU_CLOSES {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        log.addVcpu().close();
      }
    },
    SEAL {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        log.seal();
      }
    },
    CLIENT_CLOSED {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        client.close();
      }
    },
    LOG_CLOSED {
      @Override
      void run(DirtyLog log, DirtyClient<LogSlot> client) {
        log.close();
      }
    };

    abstract void run(DirtyLog log, DirtyClient<LogSlot> client) throws Exception;
  }

  @ParameterizedTest
  @EnumSource(End.class)
  void softFull_vcpuWaitsOfflineAtItsSafepoint_untilThereIsRoomOrNobodyCollects(End end) {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("guest");
        GuestThread collector = new GuestThread("collector")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      assertWaits(safepoint, vcpu, log);
      Future<?> ending = collector.begin(() -> end.run(log, client));
      GuestThread.end(safepoint);
      GuestThread.await(() -> {
        guest.run(vcpu::safepoint); // a barrier may wait for it
        return ending.isDone();
      });
      GuestThread.end(ending);
      assertFalse(vcpu.state().isOffline());
      assertEquals(1, log.counters().ringFullWaits());
      assertEquals(0, log.counters().ringSpills());
      if (end != End.CLIENT_CLOSED && end != End.LOG_CLOSED) {
        guest.run(() -> mark(log, vcpu, 50, 51));
        log.sync();
        assertEquals(SOFT_FULL + 1 - (end == End.DISCARD ? 1 : 0), client.dirtyPages());
      }
      guest.run(vcpu::close);
    }
  }

  @Test
  void waiting_anotherClientIsThereStill_goesOnWaiting() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> one = log.client("one", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> two = log.client("two", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      one.close();
      assertWaits(safepoint, vcpu, log);
      two.close();
      GuestThread.end(safepoint);
      guest.run(vcpu::close);
    }
  }

  @Test
  void waiting_pauseIsTakenAndRoomIsMade_comesBackAfterThePauseAlone() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      VcpuPause pause = log.pause();
      log.sync(); // room
      for (int i = 0; i < 1_000; i++) {
        log.barrier();
      }
      assertFalse(safepoint.isDone());
      assertTrue(vcpu.state().isOffline());
      pause.close();
      GuestThread.end(safepoint);
      assertFalse(vcpu.state().isOffline());
      guest.run(vcpu::close);
    }
  }

  @Test
  void waiting_taskIsSent_runsWhenItGoesOnInTheSameSafepoint() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      AtomicReference<Thread> ranIn = new AtomicReference<>();
      CompletableFuture<@Nullable Void> task =
          vcpu.runOnVcpu(() -> ranIn.set(Thread.currentThread()));
      log.barrier();
      assertFalse(task.isDone());
      log.sync();
      GuestThread.end(safepoint);
      assertTrue(task.isDone());
      assertSame(GuestThread.end(guest.beginCall(Thread::currentThread)), ranIn.get());
      guest.run(vcpu::close);
    }
  }

  @Test
  void waiting_closeByAnother_isRefusedNamingItsThread() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("the owner")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      VcpuException e = assertThrows(VcpuException.class, vcpu::close);
      assertTrue(String.valueOf(e.getMessage()).contains("the owner"), e.getMessage());
      log.sync();
      GuestThread.end(safepoint);
      guest.run(vcpu::close);
    }
  }

  @Test
  void noClient_ringIsFull_nobodyWaits() {
    DirtyLog log = log();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    mark(log, vcpu, 0, SOFT_FULL);
    client.close();
    vcpu.safepoint();
    mark(log, vcpu, 0, 50);
    vcpu.mark(log.slot(0), 5 * PAGE - 1, 2); // across two pages: always the slow path
    vcpu.safepoint();
    assertFalse(vcpu.state().isOffline());
    assertEquals(0, log.counters().ringFullWaits(), "it did not wait");
  }

  @Test
  void timeout_errorHandlerIsToldOnceAWaitAndTheVcpuWaitsOn() {
    DirtyLog log = log(Duration.ofMillis(30));
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread guest = new GuestThread("the slow guest")) {
      for (int wait = 1; wait <= 2; wait++) {
        Future<?> safepoint = fill(log, guest, vcpu);
        int expected = wait;
        GuestThread.await(() -> errors.size() == expected);
        long end = System.nanoTime() + Duration.ofMillis(100).toNanos();
        GuestThread.await(() -> System.nanoTime() - end > 0);
        assertEquals(wait, errors.size(), "once a wait");
        assertWaits(safepoint, vcpu, log);
        log.sync();
        GuestThread.end(safepoint);
      }
      for (Throwable e : errors) {
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("vCPU 0") && message.contains("the slow guest"), message);
        assertTrue(message.contains("30 ms") && message.contains("8 entries"), message);
      }
      guest.run(vcpu::close);
    }
  }

  /** What a handler may do. */
  enum Handler {
    BARRIER,
    PAUSE,
    COUNTERS,
    SYNC,
    TAKE,
    SEAL,
    CLOSE_CLIENT,
    CLOSE_LOG,
    NEW_CLIENT,
    NEW_VCPU,
    THROWS
  }

  private static void run(Handler handler, DirtyLog log, DirtyClient<LogSlot> client) {
    switch (handler) {
      case BARRIER -> log.barrier();
      case PAUSE -> log.pause().close();
      case COUNTERS -> log.counters();
      case SYNC -> log.sync();
      case TAKE -> client.take().close();
      case SEAL -> log.seal();
      case CLOSE_CLIENT -> client.close();
      case CLOSE_LOG -> log.close();
      case NEW_CLIENT -> log.client("new", InitialView.NONE_DIRTY);
      case NEW_VCPU -> log.addVcpu().close();
      case THROWS -> throw new TestTracker.Fault("handler");
    }
  }

  /** The vCPU is told outside all locks, and is offline to all others while it waits on. */
  @ParameterizedTest
  @EnumSource(Handler.class)
  void timeout_errorHandlerCallsTheLog_nothingIsHeldUp(Handler handler) {
    List<Runnable> once = new ArrayList<>();
    List<Throwable> thrown = new ArrayList<>();
    AtomicReference<@Nullable Throwable> told = new AtomicReference<>();
    DirtyLog log =
        DirtyLog.builder()
            .ring(ENTRIES, RESERVE, RingFullPolicy.WAIT)
            .timeout(Duration.ofMillis(200))
            .errorHandler(e -> {
              if (once.isEmpty()) {
                thrown.add(e);
                return;
              }
              Runnable action = once.remove(0);
              try {
                action.run();
              } finally {
                told.set(e);
              }
            })
            .build();
    log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    once.add(() -> run(handler, log, client));
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> safepoint = fill(log, guest, vcpu);
      GuestThread.await(() -> told.get() != null);
      if (handler == Handler.BARRIER || handler == Handler.PAUSE || handler == Handler.COUNTERS) {
        assertWaits(safepoint, vcpu, log);
        log.sync();
      }
      if (handler == Handler.THROWS) {
        assertThrows(TestTracker.Fault.class, () -> GuestThread.end(safepoint));
      } else {
        GuestThread.end(safepoint);
      }
      assertFalse(vcpu.state().isOffline());
      guest.run(vcpu::close);
      log.barrier();
      log.pause().close();
    }
    assertTrue(thrown.isEmpty(), thrown::toString);
  }
}
