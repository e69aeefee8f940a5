package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.agrona.concurrent.Agent;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Tasks of RCU: after which grace period, in which order and thread, and barriers that wait for
 * them.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuCallTest extends RcuCase {
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
  void barrier_taskThatNeverEnds_failsAndNamesItsThread() throws Exception {
    Rcu shortRcu = impatient();
    CountDownLatch in = new CountDownLatch(1);
    CountDownLatch leave = new CountDownLatch(1);
    try (GuestThread runner = new GuestThread("slow runner")) {
      shortRcu.callRcu(() -> {
        in.countDown();
        GuestThread.await(leave);
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
}
