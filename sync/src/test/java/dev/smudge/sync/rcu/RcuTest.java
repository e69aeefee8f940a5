package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Sections and grace periods of RCU in threads that are no vCPUs. Design 3.7. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuTest extends RcuCase {
  private static void waitInSection(Rcu rcu, CountDownLatch in, CountDownLatch leave)
      throws InterruptedException {
    rcu.enter();
    try {
      in.countDown();
      leave.await();
    } finally {
      rcu.exit();
    }
  }

  @Test
  void create_timeoutOutOfRange_isRefused() {
    for (Duration timeout :
        List.of(
            Duration.ZERO,
            Duration.ofNanos(-1),
            Duration.ofDays(1).plusNanos(1),
            Duration.ofSeconds(Long.MAX_VALUE))) {
      Exception e =
          assertThrows(
              IllegalArgumentException.class,
              () -> Rcu.create(RcuVcpus.NONE, timeout, error -> {}));
      assertEquals(
          "timeout " + timeout + " is not more than zero and at most a day", e.getMessage());
    }
  }

  @Test
  void enter_nested_sectionEndsWithTheOutermostExit() {
    assertFalse(rcu.isInSection());
    rcu.enter();
    rcu.enter();
    rcu.exit();
    assertTrue(rcu.isInSection());
    rcu.exit();
    assertFalse(rcu.isInSection());
  }

  @Test
  void exit_withoutEnter_throwsAndChangesNothing() {
    assertThrows(RcuException.class, rcu::exit);
    rcu.enter();
    rcu.exit();
    RcuException e = assertThrows(RcuException.class, rcu::exit);
    assertTrue(String.valueOf(e.getMessage()).contains("exit() without enter()"), e.getMessage());
    assertFalse(rcu.isInSection());
    rcu.enter();
    assertTrue(rcu.isInSection());
    rcu.exit();
    rcu.synchronize();
  }

  @Test
  void synchronize_withoutReaders_returns() {
    Rcu.create().synchronize();
    Rcu.create().barrier();
  }

  @Test
  void synchronize_readerOfNow_isWaitedFor_alsoNested() throws Exception {
    AtomicBoolean left = new AtomicBoolean();
    AtomicBoolean wasOver = new AtomicBoolean();
    CountDownLatch begun = new CountDownLatch(1);
    try (GuestThread updater = new GuestThread("updater")) {
      rcu.enter();
      rcu.enter();
      Future<Boolean> waits =
          updater.beginCall(() -> {
            GracePeriod gracePeriod = rcu.begin();
            wasOver.set(gracePeriod.isOver());
            begun.countDown();
            rcu.synchronize();
            return left.get();
          });
      begun.await();
      rcu.exit();
      assertFalse(waits.isDone());
      left.set(true);
      rcu.exit();
      assertTrue(GuestThread.end(waits));
      assertFalse(wasOver.get());
    }
  }

  @Test
  void section_inVirtualThreads_isWaitedFor() throws Exception {
    CountDownLatch in = new CountDownLatch(50);
    CountDownLatch leave = new CountDownLatch(1);
    AtomicInteger inside = new AtomicInteger(50);
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      readers.add(
          startVirtual(() -> {
            rcu.enter();
            in.countDown();
            GuestThread.await(leave);
            inside.decrementAndGet();
            rcu.exit();
          }));
    }
    in.await();
    AtomicInteger insideAtReclaim = new AtomicInteger(-1);
    rcu.callRcu(() -> insideAtReclaim.set(inside.get()));
    assertEquals(1, doWork(rcu.reclaimer()));
    assertEquals(0, doWork(rcu.reclaimer()));
    leave.countDown();
    rcu.barrier();
    assertEquals(0, insideAtReclaim.get());
    for (Thread reader : readers) {
      reader.join();
    }
  }

  @Test
  void gracePeriod_readerThatCameLater_isNotWaitedFor() {
    GracePeriod gracePeriod = rcu.begin();
    rcu.enter();
    assertTrue(gracePeriod.isOver());
    assertFalse(rcu.begin().isOver());
    rcu.exit();
    assertTrue(rcu.begin().isOver());
  }

  @Test
  void gracePeriod_readerThatLeftAndCameBack_isOver() {
    rcu.enter();
    GracePeriod gracePeriod = rcu.begin();
    assertFalse(gracePeriod.isOver());
    rcu.exit();
    rcu.enter();
    assertTrue(gracePeriod.isOver());
    assertTrue(gracePeriod.isOver());
    rcu.exit();
  }

  @Test
  void waits_insideASection_throwAndSayWhatToCall() {
    rcu.enter();
    for (Runnable call : List.<Runnable>of(rcu::synchronize, rcu::barrier)) {
      RcuException e = assertThrows(RcuException.class, call::run);
      assertTrue(String.valueOf(e.getMessage()).contains("callRcu"), e.getMessage());
    }
    Rcu.create().synchronize(); // another's readers
    rcu.exit();
    rcu.synchronize();
  }

  @Test
  void bug27_readerThatNeverLeaves_synchronizeFailsAndNamesIt_laterCallSucceeds() throws Exception {
    Rcu shortRcu = impatient();
    CountDownLatch in = new CountDownLatch(1);
    CountDownLatch leave = new CountDownLatch(1);
    AtomicInteger ran = new AtomicInteger();
    try (GuestThread reader = new GuestThread("stuck reader")) {
      Future<?> stuck = reader.begin(() -> waitInSection(shortRcu, in, leave));
      in.await();
      shortRcu.callRcu(ran::incrementAndGet);
      for (Runnable call : List.<Runnable>of(shortRcu::synchronize, shortRcu::barrier)) {
        RcuTimeoutException e = assertThrows(RcuTimeoutException.class, call::run);
        assertTrue(String.valueOf(e.getMessage()).contains("stuck reader"), e.getMessage());
        Throwable cause = e.getCause();
        assertNotNull(cause);
        assertTrue(Arrays.toString(cause.getStackTrace()).contains("waitInSection"));
        assertEquals(0, e.getSuppressed().length);
      }
      assertEquals(0, ran.get());
      while (errors.isEmpty()) {
        shortRcu.reclaimer().doWork(); // its own time has run for less than the barrier's, perhaps
      }
      leave.countDown();
      GuestThread.end(stuck);
    }
    shortRcu.synchronize();
    shortRcu.barrier();
    assertEquals(1, ran.get());
    assertEquals(1, errors.size(), "the reclaimer said it once: " + errors);
  }

  @Test
  void bug27_withStacks_timeoutTellsWhereItEntered() {
    Rcu shortRcu = rcu(Duration.ofMillis(30).toNanos(), true);
    try (GuestThread reader = new GuestThread("stuck reader")) {
      reader.run(() -> enterHere(shortRcu));
      RcuTimeoutException e = assertThrows(RcuTimeoutException.class, shortRcu::synchronize);
      assertEquals(1, e.getSuppressed().length);
      String stack = Arrays.toString(e.getSuppressed()[0].getStackTrace());
      assertTrue(stack.contains("enterHere"), stack);
      reader.run(shortRcu::exit);
    }
    shortRcu.synchronize();
  }

  private static void enterHere(Rcu rcu) {
    rcu.enter();
  }
}
