package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.MapLock;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.tracker.ForwardingTracker;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The end of a vCPU, and of a log: who waits, and what has not run. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class VcpuCloseTest {
  private static void assertRefused(CompletableFuture<@Nullable Void> task, String part) {
    CompletionException e = assertThrows(CompletionException.class, task::join);
    Throwable cause = Objects.requireNonNull(e.getCause());
    assertEquals(VcpuException.class, cause.getClass());
    assertTrue(String.valueOf(cause.getMessage()).contains(part), cause.getMessage());
  }

  @Test
  void close_reapThrows_vcpuIsOfflineAndUsableAndAnotherCloseWorks() {
    boolean[] fails = {false};
    try (DirtyLog log =
        DirtyLog.builder()
            .ring(256)
            .interceptTracker(tracker ->
                new ForwardingTracker(tracker) {
                  @Override
                  public int reapRings(RingPageConsumer sink) {
                    if (fails[0]) {
                      throw new IllegalStateException("planted");
                    }
                    return super.reapRings(sink);
                  }
                })
            .build()) {
      LogSlot slot = log.addSlot(0, 64, 1);
      DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu();
      vcpu.mark(slot, 1, 1);
      fails[0] = true;
      assertThrows(IllegalStateException.class, vcpu::close);
      fails[0] = false;
      assertFalse(vcpu.isOnlineHere());
      log.barrier();
      try (GuestThread other = new GuestThread("other")) {
        other.run(() -> {
          vcpu.mark(slot, 2, 1); // online again, in any thread
          assertTrue(vcpu.isOnlineHere());
          vcpu.offline();
        });
      }
      fails[0] = true;
      assertThrows(IllegalStateException.class, vcpu::close);
      fails[0] = false;
      vcpu.close();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(2, batch.pageCount());
      }
      assertThrows(VcpuException.class, () -> vcpu.online());
      assertEquals(0, log.collector.vcpus().vcpus().length);
    }
  }

  @ParameterizedTest
  @EnumSource(Mode.class)
  void logIsClosed_tasksThatHaveNotRun_fail(Mode mode) {
    DirtyLog log = mode.log();
    LogVcpu never = log.addVcpu();
    CompletableFuture<@Nullable Void> before = never.runOnVcpu(() -> {});
    log.close();
    assertRefused(before, "closed");
    assertRefused(never.runOnVcpu(() -> {}), "closed");
  }

  @Test
  void logIsClosed_whileManySendTasks_eachRunsOnceOrFails() {
    for (int round = 0; round < 300; round++) {
      DirtyLog log = DirtyLog.create();
      LogVcpu idle = log.addVcpu();
      AtomicInteger ran = new AtomicInteger();
      Queue<CompletableFuture<@Nullable Void>> sent = new ConcurrentLinkedQueue<>();
      List<Future<?>> running = new ArrayList<>();
      try (GuestThread first = new GuestThread("first sender");
          GuestThread second = new GuestThread("second sender")) {
        for (GuestThread sender : List.of(first, second)) {
          running.add(
              sender.begin(() -> {
                for (int i = 0; i < 100; i++) {
                  sent.add(idle.runOnVcpu(ran::incrementAndGet));
                }
              }));
        }
        GuestThread.await(() -> !sent.isEmpty());
        log.close();
        running.forEach(GuestThread::end);
      }
      assertTrue(sent.stream().allMatch(CompletableFuture::isDone), "round " + round);
      assertEquals(0, ran.get());
    }
  }

  @Test
  void runOnVcpu_vcpuNeverRuns_tooManyTasksAreRefused() {
    try (DirtyLog log = DirtyLog.create()) {
      LogVcpu vcpu = log.addVcpu();
      AtomicInteger ran = new AtomicInteger();
      for (int i = 0; i < 1 << 16; i++) {
        assertFalse(vcpu.runOnVcpu(ran::incrementAndGet).isDone());
      }
      assertRefused(vcpu.runOnVcpu(() -> {}), "65536 tasks");
      vcpu.online();
      assertEquals(1 << 16, ran.get());
      vcpu.offline();
      CompletableFuture<@Nullable Void> next = vcpu.runOnVcpu(() -> {});
      vcpu.online();
      next.join();
      vcpu.close();
    }
  }

  @Test
  void logIsClosed_vcpuThatWaitsForRoomOrForItsLimit_runsOn() {
    for (boolean ring : new boolean[] {true, false}) {
      DirtyLogBuilder builder = DirtyLog.builder();
      DirtyLog log = ring ? builder.ring(4, 1, RingFullPolicy.WAIT).build() : builder.build();
      LogSlot slot = log.addSlot(0, 64, 4096);
      log.client("c", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu();
      if (!ring) {
        vcpu.limitDirtyRate(1);
      }
      try (GuestThread guest = new GuestThread("guest")) {
        Future<?> waits =
            guest.begin(() -> {
              vcpu.mark(slot, 0, 4 * 4096);
              vcpu.safepoint();
              vcpu.close();
            });
        GuestThread.await(() -> vcpu.state().owner() != null && vcpu.state().isOffline());
        assertFalse(waits.isDone());
        log.close();
        GuestThread.end(waits);
      }
    }
  }

  @Test
  void logIsClosed_whoWaitsForALockOfTheMap_isTold() {
    DirtyLog log = DirtyLog.create();
    MapLock lock = EmbeddedLog.of(log).newLock("a change of the test");
    LogVcpu vcpu = log.addVcpu();
    lock.lock();
    try (GuestThread guest = new GuestThread("guest");
        GuestThread other = new GuestThread("other")) {
      Future<?> waits =
          guest.begin(() -> {
            vcpu.online();
            lock.lock();
          });
      List<Thread> thread = new ArrayList<>();
      other.run(() -> thread.add(Thread.currentThread()));
      Future<?> waitsToo = other.begin(lock::lock);
      Sleepers.assertSleeps(thread.get(0));
      GuestThread.await(() -> vcpu.state().owner() != null && vcpu.state().isOffline());
      log.close();
      for (Future<?> wait : List.of(waits, waitsToo)) {
        IllegalStateException e =
            assertThrows(IllegalStateException.class, () -> GuestThread.end(wait));
        assertTrue(String.valueOf(e.getMessage()).contains("closed"), e.getMessage());
      }
      guest.run(() -> assertTrue(vcpu.isOnlineHere()));
      guest.run(vcpu::close);
      Future<?> closer = other.begin(lock::lock); // who closes waits for a change to end
      assertFalse(closer.isDone());
      lock.unlock();
      GuestThread.end(closer);
      other.run(lock::unlock);
    }
  }

  /** Waits that end only when the other is done sleep, and keep the interrupt. */
  @Test
  void interrupted_barrierGracePeriodLockAndTurn_sleepAndKeepTheInterrupt() {
    try (DirtyLog log = DirtyLog.create();
        GuestThread guest = new GuestThread("guest");
        GuestThread holder = new GuestThread("holder")) {
      MapLock lock = EmbeddedLog.of(log).newLock("a change of the test");
      LogVcpu vcpu = log.addVcpu();
      VcpuPause[] pause = new VcpuPause[1];
      record Case(GuestThread.Step begin, GuestThread.Step waiter, GuestThread.Step end) {}
      List<Case> cases =
          List.of(
              new Case(vcpu::online, log::barrier, vcpu::offline),
              new Case(vcpu::online, () -> log.pause().close(), vcpu::offline),
              new Case(log.rcu()::enter, log.rcu()::synchronize, log.rcu()::exit),
              new Case(log.rcu()::enter, log.rcu()::barrier, log.rcu()::exit),
              new Case(
                  lock::lock,
                  () -> {
                    lock.lock();
                    lock.unlock();
                  },
                  lock::unlock),
              new Case(
                  () -> pause[0] = log.pause(), () -> log.pause().close(), () -> pause[0].close()));
      for (Case one : cases) {
        holder.run(one.begin());
        List<Thread> thread = new ArrayList<>();
        AtomicBoolean begun = new AtomicBoolean();
        Future<Boolean> waits =
            guest.beginCall(() -> {
              thread.add(Thread.currentThread());
              Thread.currentThread().interrupt();
              begun.set(true);
              one.waiter().run();
              return Thread.interrupted();
            });
        GuestThread.await(begun::get);
        Sleepers.assertSleeps(thread.get(0));
        thread.get(0).interrupt();
        Sleepers.assertSleeps(thread.get(0));
        assertFalse(waits.isDone());
        holder.run(one.end());
        assertTrue(GuestThread.end(waits), "the interrupt is kept");
      }
    }
  }
}
