package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.agrona.concurrent.Agent;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** RCU of threads that are no vCPUs. Design 3.7. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuTest {
  private static final long LONG = Duration.ofSeconds(10).toNanos();

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final Rcu rcu = rcu(LONG, false);

  private Rcu rcu(long timeoutNanos, boolean stacks) {
    return Rcu.create(RcuVcpus.NONE, Duration.ofNanos(timeoutNanos), errors::add, stacks);
  }

  private Rcu impatient() {
    return rcu(Duration.ofMillis(30).toNanos(), false);
  }

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
            awaitQuietly(leave);
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

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** A virtual thread where there are any, else a platform thread. */
  static Thread startVirtual(Runnable body) {
    try {
      return (Thread)
          Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, body);
    } catch (ReflectiveOperationException e) {
      Thread thread = new Thread(body);
      thread.start();
      return thread;
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
  void waits_insideATask_throw() {
    List<RcuException> thrown = new ArrayList<>();
    rcu.callRcu(() -> {
      thrown.add(assertThrows(RcuException.class, rcu::synchronize));
      thrown.add(assertThrows(RcuException.class, rcu::barrier));
      assertEquals(0, doWork(rcu.reclaimer()));
    });
    rcu.barrier();
    assertEquals(2, thrown.size());
    assertTrue(errors.isEmpty(), errors.toString());
  }

  private static int doWork(Agent agent) {
    try {
      return agent.doWork();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void callRcu_taskRunsOnlyAfterAGracePeriod() {
    AtomicInteger ran = new AtomicInteger();
    Agent agent = rcu.reclaimer();
    try (GuestThread reader = new GuestThread("reader")) {
      reader.run(rcu::enter);
      rcu.callRcu(ran::incrementAndGet);
      for (int i = 0; i < 100; i++) {
        doWork(agent);
      }
      assertEquals(0, ran.get());
      reader.run(rcu::exit);
      doWork(agent);
      assertEquals(1, ran.get());
      assertEquals(0, doWork(agent));
    }
  }

  @Test
  void callRcu_whileTheGracePeriodOfOthersRuns_getsOneOfItsOwn() {
    List<String> ran = new ArrayList<>();
    Agent agent = rcu.reclaimer();
    try (GuestThread early = new GuestThread("early");
        GuestThread late = new GuestThread("late")) {
      early.run(rcu::enter);
      rcu.callRcu(() -> ran.add("first"));
      doWork(agent);
      late.run(rcu::enter);
      rcu.callRcu(() -> ran.add("second"));
      early.run(rcu::exit);
      doWork(agent);
      assertEquals(List.of("first"), ran);
      doWork(agent);
      doWork(agent);
      assertEquals(List.of("first"), ran);
      late.run(rcu::exit);
      doWork(agent);
      assertEquals(List.of("first", "second"), ran);
    }
  }

  @Test
  void callRcu_inASectionAndInATask_runs_inOrder() {
    List<Integer> ran = new ArrayList<>();
    rcu.enter();
    rcu.callRcu(() -> {
      ran.add(1);
      rcu.callRcu(() -> ran.add(3));
    });
    rcu.callRcu(() -> ran.add(2));
    rcu.exit();
    rcu.barrier();
    assertEquals(List.of(1, 2), ran);
    rcu.barrier();
    assertEquals(List.of(1, 2, 3), ran);
  }

  @Test
  void callRcu_taskThatThrows_isReportedAndTheOthersRun() {
    AtomicInteger ran = new AtomicInteger();
    IllegalStateException planned = new IllegalStateException("planned");
    rcu.callRcu(ran::incrementAndGet);
    rcu.callRcu(() -> {
      throw planned;
    });
    rcu.callRcu(() -> {
      throw new AssertionError("planned");
    });
    rcu.callRcu(ran::incrementAndGet);
    rcu.barrier();
    assertEquals(2, ran.get());
    assertEquals(2, errors.size());
    assertSame(planned, errors.peek());
  }

  @Test
  void callRcu_moreThanOneTurnRuns_allRunInOrder() {
    List<Integer> ran = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      int number = i;
      rcu.callRcu(() -> ran.add(number));
    }
    rcu.barrier();
    assertEquals(5000, ran.size());
    for (int i = 0; i < 5000; i++) {
      assertEquals(i, ran.get(i));
    }
  }

  @Test
  void barrier_withReclaimerRunning_tasksRunInItsThread() {
    AtomicReference<Thread> ranIn = new AtomicReference<>();
    try (AgentRunner runner =
        new AgentRunner(
            new BackoffIdleStrategy(0, 1, 1000, 100_000), errors::add, null, rcu.reclaimer())) {
      Thread thread = AgentRunner.startOnThread(runner);
      AtomicInteger started = new AtomicInteger();
      rcu.callRcu(started::incrementAndGet);
      GuestThread.await(() -> started.get() == 1);
      for (int i = 0; i < 200; i++) {
        rcu.callRcu(() -> ranIn.set(Thread.currentThread()));
        rcu.barrier();
        assertSame(thread, ranIn.get());
      }
    }
    rcu.callRcu(() -> ranIn.set(Thread.currentThread()));
    rcu.barrier();
    assertSame(Thread.currentThread(), ranIn.get(), "the agent is closed");
    assertTrue(errors.isEmpty(), errors.toString());
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

  @Test
  void barrier_taskThatNeverEnds_failsAndNamesItsThread() throws Exception {
    Rcu shortRcu = impatient();
    CountDownLatch in = new CountDownLatch(1);
    CountDownLatch leave = new CountDownLatch(1);
    try (GuestThread runner = new GuestThread("slow runner")) {
      shortRcu.callRcu(() -> {
        in.countDown();
        awaitQuietly(leave);
      });
      Future<?> runs = runner.begin(shortRcu::barrier);
      in.await();
      RcuTimeoutException e = assertThrows(RcuTimeoutException.class, shortRcu::barrier);
      assertTrue(String.valueOf(e.getMessage()).contains("slow runner"), e.getMessage());
      leave.countDown();
      GuestThread.end(runs);
    }
    shortRcu.barrier();
  }

  @Test
  void barrier_agentStartedButItsLoopStands_failsAndNamesItsThread() {
    Rcu shortRcu = impatient();
    AtomicInteger ran = new AtomicInteger();
    shortRcu.callRcu(ran::incrementAndGet);
    try (GuestThread loop = new GuestThread("embedder's loop")) {
      loop.run(() -> shortRcu.reclaimer().onStart());
      RcuTimeoutException e = assertThrows(RcuTimeoutException.class, shortRcu::barrier);
      assertTrue(String.valueOf(e.getMessage()).contains("embedder's loop"), e.getMessage());
      assertEquals(0, ran.get());
      loop.run(shortRcu::barrier); // its own thread runs them
      assertEquals(1, ran.get());
    }
  }

  @Test
  void deadReader_countsAsLeft_reportedOnce() throws Exception {
    Thread reader = new Thread(rcu::enter, "dies inside");
    reader.start();
    reader.join();
    rcu.synchronize();
    rcu.synchronize();
    assertEquals(1, errors.size());
    assertTrue(String.valueOf(errors.peek()).contains("dies inside"));
  }

  @Test
  void deadReaders_many_arePruned_andReportedOnce() throws Exception {
    for (int i = 0; i < 1000; i++) {
      Thread reader = new Thread(rcu::enter);
      reader.start();
      reader.join();
    }
    assertTrue(rcu.readerCount() < 200, "readers: " + rcu.readerCount());
    rcu.synchronize();
    assertEquals(1000, errors.size());
  }

  @Test
  void deadReaders_ofThreadsThatLivedAtTheSameTime_areGoneAfterAGracePeriod() throws Exception {
    CountDownLatch in = new CountDownLatch(500);
    CountDownLatch leave = new CountDownLatch(1);
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < 500; i++) {
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
            in.countDown();
            awaitQuietly(leave);
          };
      readers.add(i % 2 == 0 ? startVirtual(body) : start(body));
    }
    in.await();
    assertTrue(rcu.readerCount() >= 500);
    leave.countDown();
    for (Thread reader : readers) {
      reader.join();
    }
    rcu.synchronize();
    assertTrue(rcu.readerCount() < 64, "readers: " + rcu.readerCount());
  }

  @Test
  void readers_ofThousandsOfShortLivedThreads_areBounded() throws Exception {
    int most = 0;
    for (int i = 0; i < 6000; i++) {
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
          };
      Thread reader = i % 2 == 0 ? startVirtual(body) : start(body);
      reader.join();
      most = Math.max(most, rcu.readerCount());
    }
    assertTrue(most <= 80, "readers: " + most);
  }

  /** Its workers live on, and lose their thread-local variables after each task. */
  @Test
  void readers_ofTheCommonPool_areOnePerWorker() throws Exception {
    int others = 400; // the table is full of living threads
    CountDownLatch in = new CountDownLatch(others);
    CountDownLatch leave = new CountDownLatch(1);
    List<Thread> living = new ArrayList<>();
    for (int i = 0; i < others; i++) {
      living.add(
          start(() -> {
            rcu.enter();
            rcu.exit();
            in.countDown();
            awaitQuietly(leave);
          }));
    }
    in.await();
    for (int i = 0; i < 20_000; i++) {
      ForkJoinPool.commonPool()
          .submit(() -> {
            rcu.enter();
            rcu.exit();
          })
          .join();
    }
    int workers = Runtime.getRuntime().availableProcessors() + 1;
    int readers = rcu.readerCount();
    leave.countDown();
    for (Thread thread : living) {
      thread.join();
    }
    assertTrue(readers <= others + others / 16 + 64 + workers, "readers: " + readers);
  }

  @Test
  void sections_ofMoreThreadsThanTheTableHas_eachFindsItsOwn() throws Exception {
    int count = 300;
    CountDownLatch in = new CountDownLatch(count);
    CountDownLatch leave = new CountDownLatch(1);
    AtomicInteger right = new AtomicInteger();
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean inside = i % 2 == 0;
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
            if (inside) {
              rcu.enter();
            }
            in.countDown();
            awaitQuietly(leave);
            if (rcu.isInSection() == inside) {
              right.incrementAndGet();
            }
            if (inside) {
              rcu.exit();
            }
          };
      readers.add(i % 3 == 0 ? startVirtual(body) : start(body));
    }
    in.await();
    GracePeriod gracePeriod = rcu.begin();
    assertFalse(gracePeriod.isOver());
    leave.countDown();
    for (Thread reader : readers) {
      reader.join();
    }
    assertEquals(count, right.get());
    assertTrue(gracePeriod.isOver());
    assertTrue(errors.isEmpty(), errors.toString());
  }

  private static Thread start(Runnable body) {
    Thread thread = new Thread(body);
    thread.start();
    return thread;
  }

  @Test
  void registration_whileOthersPrune_livingReaderIsFound() throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestThread churn = new GuestThread("churn");
        GuestThread churn2 = new GuestThread("churn 2");
        GuestThread reader = new GuestThread("reader")) {
      List<Future<?>> churning = new ArrayList<>();
      for (GuestThread thread : List.of(churn, churn2)) {
        churning.add(
            thread.begin(() -> {
              while (!stop.get()) {
                Thread shortLived =
                    new Thread(() -> {
                      rcu.enter();
                      rcu.exit();
                    });
                shortLived.start();
                shortLived.join();
              }
            }));
      }
      for (int i = 0; i < 300; i++) {
        reader.run(rcu::enter);
        GracePeriod gracePeriod = rcu.begin();
        for (int j = 0; j < 20; j++) {
          assertFalse(gracePeriod.isOver());
        }
        reader.run(rcu::exit);
        GuestThread.await(gracePeriod::isOver);
      }
      stop.set(true);
      churning.forEach(GuestThread::end);
    }
    assertTrue(errors.isEmpty(), errors.toString());
  }
}
