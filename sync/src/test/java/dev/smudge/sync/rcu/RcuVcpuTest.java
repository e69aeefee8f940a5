package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.GuestThread;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.VcpuStates;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** RCU of threads that are vCPUs: their safepoints are their quiescent states. Design 3.7. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuVcpuTest {
  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  private final Rcu rcu = log.rcu();
  private final LogVcpu vcpu = log.addVcpu();

  @Test
  void gracePeriod_vcpuOnlineOutsideSections_isOverAtItsSafepoint() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      GracePeriod gracePeriod = rcu.begin();
      assertFalse(gracePeriod.isOver());
      guest.run(vcpu::safepoint);
      assertTrue(gracePeriod.isOver());
      guest.run(vcpu::offline);
      assertTrue(rcu.begin().isOver());
    }
  }

  @Test
  void gracePeriod_vcpuOnlineWithoutSection_isOverOnlyWhenItPassesASafepointOrIsOffline() {
    List<Runnable> drops =
        List.of(
            vcpu::safepoint,
            vcpu::offline,
            log::barrier,
            () -> log.pause().close(),
            rcu::synchronize,
            vcpu::close);
    for (Runnable drop : drops) {
      try (GuestThread guest = new GuestThread("guest")) {
        guest.run(vcpu::online);
        GracePeriod gracePeriod = rcu.begin();
        for (int i = 0; i < 100; i++) {
          assertFalse(gracePeriod.isOver());
        }
        guest.run(drop::run);
        assertTrue(gracePeriod.isOver());
        guest.run(vcpu::offline);
      }
    }
  }

  @Test
  void gracePeriod_sectionAcrossASafepoint_waitsForItsExit() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      guest.run(rcu::enter);
      GracePeriod gracePeriod = rcu.begin();
      guest.run(vcpu::safepoint);
      assertFalse(gracePeriod.isOver());
      guest.run(vcpu::safepoint);
      GracePeriod second = rcu.begin();
      guest.run(vcpu::safepoint);
      assertFalse(gracePeriod.isOver());
      assertFalse(second.isOver());
      guest.run(rcu::exit);
      assertTrue(gracePeriod.isOver());
      assertTrue(second.isOver());
      guest.run(rcu::enter);
      assertTrue(gracePeriod.isOver());
      guest.run(rcu::exit);
      guest.run(vcpu::offline);
    }
  }

  @Test
  void gracePeriod_sectionEnteredAfterItBegan_acrossASafepoint_isNotWaitedFor() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      GracePeriod gracePeriod = rcu.begin();
      guest.run(rcu::enter);
      guest.run(vcpu::safepoint);
      assertTrue(gracePeriod.isOver());
      assertFalse(rcu.begin().isOver());
      guest.run(rcu::exit);
      guest.run(vcpu::offline);
    }
  }

  @Test
  void gracePeriod_offlineOrClosedInsideASection_waitsForItsExit() {
    for (Runnable leave : List.<Runnable>of(vcpu::offline, vcpu::close)) {
      try (GuestThread guest = new GuestThread("guest")) {
        guest.run(vcpu::online);
        guest.run(rcu::enter);
        GracePeriod gracePeriod = rcu.begin();
        guest.run(leave::run);
        assertFalse(gracePeriod.isOver());
        GracePeriod second = rcu.begin();
        assertFalse(second.isOver());
        guest.run(rcu::exit);
        assertTrue(gracePeriod.isOver());
        assertTrue(second.isOver());
      }
    }
  }

  @Test
  void gracePeriod_onlineInsideASection_staysPublished() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(rcu::enter);
      GracePeriod gracePeriod = rcu.begin();
      guest.run(vcpu::online);
      guest.run(vcpu::safepoint);
      assertFalse(gracePeriod.isOver());
      guest.run(vcpu::offline);
      guest.run(vcpu::online);
      assertFalse(gracePeriod.isOver());
      guest.run(rcu::exit);
      assertTrue(gracePeriod.isOver());
      guest.run(vcpu::offline);
    }
  }

  @Test
  void gracePeriod_vcpuHandedToAnotherThreadInsideASection_waitsForTheFirst() {
    try (GuestThread first = new GuestThread("first");
        GuestThread second = new GuestThread("second")) {
      first.run(vcpu::online);
      first.run(rcu::enter);
      first.run(vcpu::offline);
      second.run(vcpu::online);
      GracePeriod gracePeriod = rcu.begin();
      second.run(vcpu::safepoint);
      assertFalse(gracePeriod.isOver());
      first.run(rcu::exit);
      assertTrue(gracePeriod.isOver());
      second.run(vcpu::offline);
    }
  }

  @Test
  void barrierAndPauseOfTheVcpu_insideASection_publishIt() {
    for (Runnable call : List.<Runnable>of(log::barrier, () -> log.pause().close())) {
      try (GuestThread guest = new GuestThread("guest")) {
        guest.run(vcpu::online);
        guest.run(rcu::enter);
        GracePeriod gracePeriod = rcu.begin();
        guest.run(call::run);
        assertFalse(gracePeriod.isOver());
        guest.run(rcu::exit);
        assertTrue(gracePeriod.isOver());
        guest.run(vcpu::offline);
      }
    }
  }

  @Test
  void pauseByAnother_vcpuInsideASection_isWaitedForWhilePausedAndAfter() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      guest.run(rcu::enter);
      AtomicBoolean stop = new AtomicBoolean();
      Future<?> runs =
          guest.begin(() -> {
            while (!stop.get()) {
              vcpu.safepoint();
            }
            rcu.exit();
          });
      GracePeriod gracePeriod;
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        gracePeriod = rcu.begin();
        assertFalse(gracePeriod.isOver());
      }
      assertFalse(gracePeriod.isOver());
      stop.set(true);
      GuestThread.end(runs);
      GuestThread.await(gracePeriod::isOver);
      guest.run(vcpu::offline);
    }
  }

  @Test
  void synchronize_twoVcpusAtOnce_bothFinish() {
    CyclicBarrier meet = new CyclicBarrier(2);
    List<Future<?>> loops = new ArrayList<>();
    try (GuestThread one = new GuestThread("one");
        GuestThread two = new GuestThread("two")) {
      for (GuestThread guest : List.of(one, two)) {
        LogVcpu its = log.addVcpu();
        loops.add(
            guest.begin(() -> {
              for (int i = 0; i < 300; i++) {
                meet.await(); // offline
                its.online();
                rcu.enter();
                rcu.exit();
                rcu.synchronize();
                rcu.callRcu(() -> {});
                rcu.barrier();
                assertFalse(VcpuStates.isOffline(its));
                its.offline();
              }
            }));
      }
      loops.forEach(GuestThread::end);
    }
    assertTrue(errors.isEmpty(), errors.toString());
  }

  @Test
  void waits_insideAnArmCallback_throw_andTheSafepointSucceeds() {
    List<RcuException> thrown = new ArrayList<>();
    AtomicInteger ran = new AtomicInteger();
    log.addSlot(0, 10, 4096);
    LogVcpu arms =
        log.addVcpu(() -> {
          thrown.add(assertThrows(RcuException.class, rcu::synchronize));
          thrown.add(assertThrows(RcuException.class, rcu::barrier));
          rcu.enter();
          rcu.callRcu(ran::incrementAndGet);
          rcu.exit();
        });
    arms.online();
    try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY)) {
      client.take().close();
      arms.safepoint();
    }
    assertFalse(thrown.isEmpty());
    assertTrue(String.valueOf(thrown.get(0).getMessage()).contains("arm callback"));
    rcu.barrier();
    assertTrue(ran.get() > 0);
    arms.offline();
  }

  @Test
  void reclaimer_inTheVcpusOwnThread_waitsForItsSafepoint() throws Exception {
    AtomicInteger ran = new AtomicInteger();
    vcpu.online();
    rcu.callRcu(ran::incrementAndGet);
    rcu.reclaimer().doWork();
    rcu.reclaimer().doWork();
    assertEquals(0, ran.get(), "it may hold what it found before");
    vcpu.safepoint();
    rcu.reclaimer().doWork();
    assertEquals(1, ran.get());
    rcu.enter();
    rcu.callRcu(ran::incrementAndGet);
    for (int i = 0; i < 3; i++) {
      rcu.reclaimer().doWork();
      vcpu.safepoint();
    }
    assertEquals(1, ran.get());
    rcu.exit();
    rcu.reclaimer().doWork();
    assertEquals(2, ran.get());
    vcpu.offline();
  }

  @Test
  void task_thatUsesTheVcpuOfTheBarriersCaller_findsItOnline() {
    LogSlot slot = log.addSlot(0, 10, 4096);
    vcpu.online();
    AtomicBoolean wasOffline = new AtomicBoolean();
    rcu.callRcu(() -> {
      wasOffline.set(VcpuStates.isOffline(vcpu));
      vcpu.mark(slot, 0, 8);
      vcpu.safepoint();
    });
    rcu.barrier();
    assertFalse(wasOffline.get());
    rcu.callRcu(vcpu::close);
    rcu.barrier();
    assertTrue(VcpuStates.isOffline(vcpu));
    rcu.synchronize();
    assertTrue(errors.isEmpty(), errors.toString());
  }

  @Test
  void bug27_vcpuWithoutSafepoints_synchronizeFailsAndNamesIt() {
    DirtyLog impatient = DirtyLog.builder().timeout(Duration.ofMillis(30)).build();
    LogVcpu silent = impatient.addVcpu();
    try (GuestThread guest = new GuestThread("silent guest")) {
      guest.run(silent::online);
      RcuTimeoutException e =
          assertThrows(RcuTimeoutException.class, () -> impatient.rcu().synchronize());
      assertTrue(String.valueOf(e.getMessage()).contains("silent guest"), e.getMessage());
      assertTrue(String.valueOf(e.getMessage()).contains("safepoint()"), e.getMessage());
      assertNotNull(e.getCause());
      guest.run(silent::offline);
    }
    impatient.rcu().synchronize();
  }

  @Test
  void deadVcpu_insideASection_countsAsLeft() throws Exception {
    Thread thread =
        new Thread(() -> {
          vcpu.online();
          rcu.enter();
        });
    thread.start();
    thread.join();
    rcu.synchronize();
    rcu.synchronize();
    assertEquals(1, errors.size(), errors.toString());
    vcpu.close();
  }

  @Test
  void vcpuWhoseThreadGoesOfflineAndEnds_isNotReportedAsDead() throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    List<Thread> pollers = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      Thread poller =
          new Thread(() -> {
            while (!stop.get()) {
              VcpuStates.isDead(vcpu);
            }
          });
      pollers.add(poller);
      poller.start();
    }
    long end = System.nanoTime() + 1_500_000_000;
    while (System.nanoTime() < end && errors.isEmpty()) {
      Thread thread =
          new Thread(() -> {
            vcpu.online();
            vcpu.offline();
          });
      thread.start();
      thread.join();
    }
    stop.set(true);
    for (Thread poller : pollers) {
      poller.join();
    }
    assertTrue(errors.isEmpty(), errors.toString());
  }

  @Test
  void section_ofALogWithoutVcpus_works() {
    Rcu stopped = DirtyLog.builder().buildStopped().rcu();
    stopped.enter();
    assertFalse(stopped.begin().isOver());
    stopped.exit();
    stopped.synchronize();
  }
}
