package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.agrona.concurrent.Agent;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** vCPUs that come, go and die while a reaper runs and clients take. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingChurnTest {
  private static final int PAGES = 2_000;
  private static final int THREADS = 2;
  private static final int VCPUS = 400; // a thread

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final long[] ram = new long[PAGES * THREADS];

  /** The life of a vCPU: some marks, then it is closed, or its thread ends first. */
  private void live(DirtyLog log, LogVcpu vcpu, int thread, SplittableRandom random) {
    for (int left = random.nextInt(60); left > 0; left--) {
      int cell = random.nextInt(PAGES) * THREADS + thread;
      vcpu.safepoint();
      ram[cell]++;
      vcpu.mark(log.slot(0), cell, 1);
      if (random.nextInt(30) == 0) {
        vcpu.offline();
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 1", "16, 0", "64, 32"})
  void bug13_vcpusComeGoAndDieWhileTheReaperLoops_everyPageTheyWroteIsFound(
      int entries, int reserve) throws Exception {
    DirtyLog log =
        DirtyLog.builder()
            .ring(entries, reserve, RingFullPolicy.WAIT)
            .errorHandler(errors::add)
            .build();
    log.addSlot(0, PAGES, THREADS);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> other = log.client("other", InitialView.NONE_DIRTY);
    long[][] copies = new long[2][ram.length];
    AtomicInteger died = new AtomicInteger();
    List<GuestThread> threads = new ArrayList<>();
    List<Future<?>> running = new ArrayList<>();
    for (int t = 0; t < THREADS; t++) {
      GuestThread thread = new GuestThread("plug " + t);
      threads.add(thread);
      int number = t;
      running.add(
          thread.begin(() -> {
            SplittableRandom random = new SplittableRandom(number);
            for (int i = 0; i < VCPUS; i++) {
              LogVcpu vcpu = log.addVcpu();
              if (i % 4 != 0) {
                live(log, vcpu, number, random);
                vcpu.close();
                continue;
              }
              Thread mortal =
                  new Thread(() -> {
                    live(log, vcpu, number, random);
                    vcpu.safepoint(); // dies online
                  });
              mortal.start();
              mortal.join();
              died.incrementAndGet();
              if (i % 8 == 0) {
                vcpu.close();
              }
            }
          }));
    }
    AtomicInteger reaped = new AtomicInteger();
    AtomicBoolean over = new AtomicBoolean();
    try (GuestThread reaping = new GuestThread("reaper")) {
      Agent reaper = log.reaper();
      Future<?> loop =
          reaping.begin(() -> {
            while (!over.get()) {
              if (reaper.doWork() > 0) {
                reaped.incrementAndGet();
              } else {
                LockSupport.parkNanos(1_000);
              }
            }
          });
      for (long round = 0; running.stream().anyMatch(f -> !f.isDone()); round++) {
        copy(round % 2 == 0 ? client : other, copies[(int) (round % 2)]);
        LockSupport.parkNanos(100_000);
      }
      over.set(true);
      GuestThread.end(loop);
      running.forEach(GuestThread::end);
    }
    threads.forEach(GuestThread::close);
    copy(client, copies[0]);
    copy(other, copies[1]);
    for (long[] copy : copies) {
      for (int i = 0; i < ram.length; i++) {
        assertEquals(ram[i], copy[i], "page " + i / THREADS);
      }
    }
    assertEquals(THREADS * VCPUS / 4, died.get());
    assertTrue(reaped.get() > 0);
    assertTrue(errors.size() <= died.get(), errors::toString);
    assertEquals(died.get() / 2, log.counters().vcpuPages().size(), "dead, and not closed");
  }

  private void copy(DirtyClient<LogSlot> client, long[] copy) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        int from = (int) first * THREADS;
        System.arraycopy(ram, from, copy, from, (int) count * THREADS);
      });
      batch.commit();
    }
  }

  /** As an embedder runs it. */
  @Test
  void reaper_inAnAgentRunner_vcpusNeverWaitForAClient() {
    DirtyLog log = DirtyLog.builder().ring(64).errorHandler(errors::add).build();
    LogSlot slot = log.addSlot(0, 100_000, 1);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    Agent reaper = log.reaper();
    assertEquals("dirty-ring-reaper", reaper.roleName());
    try (AgentRunner runner =
        new AgentRunner(new BackoffIdleStrategy(), errors::add, null, reaper)) {
      AgentRunner.startOnThread(runner);
      LogVcpu vcpu = log.addVcpu();
      for (int page = 0; page < 100_000; page++) {
        vcpu.mark(slot, page, 1);
        vcpu.safepoint();
      }
      vcpu.close();
      assertEquals(100_000, client.dirtyPages());
      log.close();
    }
    assertTrue(errors.isEmpty(), errors::toString);
  }
}
