package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Whose a vCPU is, and the tasks that it runs. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class LogVcpuTest {
  private final DirtyLog log;
  private final LogSlot slot;
  private final LogVcpu vcpu;

  LogVcpuTest(Mode mode) {
    log = mode.builder().errorHandler(e -> {}).build();
    slot = log.addSlot(0, 100, 4096);
    vcpu = log.addVcpu();
  }

  private static void assertFailed(CompletableFuture<@Nullable Void> task) {
    CompletionException e = assertThrows(CompletionException.class, task::join);
    Throwable cause = Objects.requireNonNull(e.getCause());
    assertEquals(VcpuException.class, cause.getClass());
    assertTrue(String.valueOf(cause.getMessage()).contains("vCPU 0"));
  }

  @Test
  void secondThread_vcpuIsOnlineElsewhere_isRefusedOnTheSlowPaths() {
    try (GuestThread guest = new GuestThread("the owner")) {
      DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
      guest.run(vcpu::online);
      List<Runnable> misuses =
          List.of(
              vcpu::online,
              vcpu::offline,
              vcpu::close,
              () -> vcpu.mark(slot, 0, 1)); // the page is armed: the slow path
      for (Runnable misuse : misuses) {
        VcpuException e = assertThrows(VcpuException.class, misuse::run);
        String message = String.valueOf(e.getMessage());
        assertTrue(message.contains("vCPU 0") && message.contains("the owner"), message);
      }
      guest.run(vcpu::close);
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(1, batch.pageCount(), "marked nonetheless");
      }
    }
  }

  @Test
  void secondThread_safepointWithARequestPending_isRefused() {
    try (GuestThread guest = new GuestThread("the owner")) {
      guest.run(vcpu::online);
      CompletableFuture<@Nullable Void> task = vcpu.runOnVcpu(() -> {}); // a request
      assertThrows(VcpuException.class, vcpu::safepoint);
      assertFalse(task.isDone());
      guest.run(vcpu::close);
    }
  }

  @Test
  void oneThread_twoVcpusAtOnce_theSecondIsRefused() {
    LogVcpu second = log.addVcpu();
    vcpu.online();
    assertThrows(VcpuException.class, () -> second.online());
    vcpu.offline();
    second.online();
    second.close();
  }

  @Test
  void vcpu_handedOverAfterOffline_worksInTheOtherThread() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    for (int i = 0; i < 3; i++) {
      try (GuestThread guest = new GuestThread("guest " + i)) {
        long offset = 4096L * i;
        guest.run(() -> {
          vcpu.mark(slot, offset, 1);
          vcpu.offline();
        });
      }
    }
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(3, batch.pageCount());
    }
  }

  @Test
  void closed_everyUse_isRefused() {
    vcpu.online();
    vcpu.close();
    vcpu.close();
    assertThrows(VcpuException.class, () -> vcpu.online());
    assertThrows(VcpuException.class, vcpu::safepoint);
    assertThrows(VcpuException.class, () -> vcpu.mark(slot, 0, 1));
    vcpu.offline();
    assertFailed(vcpu.runOnVcpu(() -> {}));
    assertTrue(vcpu.toString().contains("closed"), vcpu.toString());
    assertEquals(1, log.addVcpu().index());
  }

  @Test
  void closeByAnother_whileItComesOnline_oneOfTheTwoIsRefused() {
    int rounds = 20_000;
    LogVcpu[] vcpus = new LogVcpu[1];
    boolean[] refused = {false};
    AtomicInteger started = new AtomicInteger();
    AtomicInteger came = new AtomicInteger();
    AtomicInteger checked = new AtomicInteger();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> coming =
          guest.begin(() -> {
            for (int i = 1; i <= rounds; i++) {
              awaitRound(started, i);
              LogVcpu mine = vcpus[0];

              delay(i % 67);
              refused[0] = false;
              try {
                mine.online();
              } catch (VcpuException e) {
                refused[0] = true;
              }
              came.setRelease(i);
              awaitRound(checked, i);
              mine.close();
            }
          });
      for (int i = 1; i <= rounds; i++) {
        vcpus[0] = log.addVcpu();
        boolean closed = true;
        started.setRelease(i);
        delay(i % 61);
        try {
          vcpus[0].close();
        } catch (VcpuException e) {
          closed = false;
        }
        awaitRound(came, i);
        assertTrue(closed == refused[0], "closed and online: no barrier waits for it");
        checked.setRelease(i);
      }
      GuestThread.end(coming);
    }
  }

  private static void awaitRound(AtomicInteger counter, int round) {
    for (int spins = 0; counter.getAcquire() < round; spins++) {
      if (spins > 5_000) {
        LockSupport.parkNanos(1_000);
      }
    }
  }

  private static void delay(int spins) {
    for (int i = 0; i < spins; i++) {
      Thread.onSpinWait();
    }
  }

  @Test
  void runOnVcpu_fromAnotherThread_runsAtTheNextSafepointInTheVcpusThread() {
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      AtomicReference<Thread> ranIn = new AtomicReference<>();
      CompletableFuture<@Nullable Void> task =
          vcpu.runOnVcpu(() -> ranIn.set(Thread.currentThread()));
      guest.run(() -> vcpu.mark(slot, 0, 1));
      assertFalse(task.isDone(), "in the middle of a block");
      AtomicReference<Thread> thread = new AtomicReference<>();
      guest.run(() -> {
        thread.set(Thread.currentThread());
        vcpu.safepoint();
      });
      task.join();
      assertSame(thread.get(), ranIn.get());
      guest.run(vcpu::close);
    }
  }

  @Test
  void runOnVcpu_fromItself_runsAtOnceAndNoOtherTaskWithIt() {
    try (GuestThread other = new GuestThread("other")) {
      vcpu.online();
      AtomicBoolean othersRan = new AtomicBoolean();
      List<CompletableFuture<@Nullable Void>> others = new ArrayList<>();
      other.run(() -> others.add(vcpu.runOnVcpu(() -> othersRan.set(true))));
      AtomicBoolean ran = new AtomicBoolean();
      assertTrue(vcpu.runOnVcpu(() -> ran.set(true)).isDone());
      assertTrue(ran.get());
      assertFalse(othersRan.get(), "it waits for a safepoint: this may be half a store");
      vcpu.safepoint();
      assertTrue(othersRan.get());
      others.get(0).join();
    }
  }

  @Test
  void runOnVcpu_taskThrows_failsTheFutureAlone() {
    try (GuestThread other = new GuestThread("other")) {
      vcpu.online();
      List<CompletableFuture<@Nullable Void>> tasks = new ArrayList<>();
      other.run(() -> {
        tasks.add(
            vcpu.runOnVcpu(() -> {
              throw new ArithmeticException("task");
            }));
        tasks.add(vcpu.runOnVcpu(() -> {}));
      });
      vcpu.safepoint();
      CompletionException e = assertThrows(CompletionException.class, tasks.get(0)::join);
      assertEquals(ArithmeticException.class, Objects.requireNonNull(e.getCause()).getClass());
      tasks.get(1).join();
      log.barrier();
    }
  }

  @Test
  void runOnVcpu_offline_runsAsItComesOnline() {
    AtomicInteger ran = new AtomicInteger();
    CompletableFuture<@Nullable Void> task = vcpu.runOnVcpu(ran::incrementAndGet);
    log.barrier();
    assertFalse(task.isDone());
    vcpu.online();
    task.join();
    assertEquals(1, ran.get());
  }

  @Test
  void runOnVcpu_closedBeforeItRan_fails() {
    CompletableFuture<@Nullable Void> task = vcpu.runOnVcpu(() -> {});
    vcpu.close();
    assertFailed(task);
  }

  @Test
  void runOnVcpu_deadBeforeOrAfter_fails() throws Exception {
    List<CompletableFuture<@Nullable Void>> before = new ArrayList<>();
    try (GuestThread other = new GuestThread("other")) {
      Thread thread =
          new Thread(() -> {
            vcpu.online();
            other.run(() -> before.add(vcpu.runOnVcpu(() -> {})));
          });
      thread.start();
      thread.join();
      assertFalse(before.get(0).isDone());
      assertFailed(vcpu.runOnVcpu(() -> {}));
      assertFailed(before.get(0));
    }
  }

  @Test
  void runOnVcpu_taskTakesBarriersAndPages_works() {
    try (GuestThread other = new GuestThread("other")) {
      DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
      vcpu.online();
      List<CompletableFuture<@Nullable Void>> task = new ArrayList<>();
      other.run(() -> task.add(vcpu.runOnVcpu(() -> client.take().close())));
      vcpu.safepoint();
      task.get(0).join();
      assertEquals(100, client.dirtyPages());
      assertFalse(vcpu.state().isOffline());
    }
  }

  @Test
  void runOnVcpu_taskGoesOfflineOrCloses_laterBarriersAndPausesDoNotWaitForIt() {
    for (boolean close : new boolean[] {false, true}) {
      try (GuestThread guest = new GuestThread("guest")) {
        LogVcpu leaving = log.addVcpu();
        LogVcpu witness = log.addVcpu();
        AtomicBoolean stop = new AtomicBoolean();
        guest.run(leaving::online);
        CompletableFuture<@Nullable Void> task =
            leaving.runOnVcpu(close ? leaving::close : leaving::offline);
        try (GuestThread pauser = new GuestThread("pauser");
            GuestThread other = new GuestThread("witness")) {
          Future<?> blocks =
              other.begin(() -> {
                while (!stop.get()) {
                  witness.safepoint();
                }
                witness.close();
              });
          GuestThread.await(() -> !witness.state().isOffline());
          Future<VcpuPause> pausing = pauser.beginCall(log::pause);
          GuestThread.await(witness.state()::isOffline); // the pause is on when the task runs
          Future<?> leave = guest.begin(leaving::safepoint);
          GuestThread.end(pausing).close();
          GuestThread.end(leave);
          task.join();
          stop.set(true);
          GuestThread.end(blocks);
        }
        assertTrue(leaving.state().isOffline());
        log.barrier();
        if (!close) {
          guest.run(leaving::safepoint);
          guest.run(leaving::close);
        }
      }
    }
  }

  @Test
  void runOnVcpu_manySendersWhileItIsClosed_eachTaskRunsOnceOrFails() {
    for (int round = 0; round < 200; round++) {
      LogVcpu busy = log.addVcpu();
      AtomicInteger ran = new AtomicInteger();
      List<GuestThread> threads = new ArrayList<>();
      List<Future<?>> running = new ArrayList<>();
      Queue<CompletableFuture<@Nullable Void>> sent = new ConcurrentLinkedQueue<>();
      GuestThread guest = new GuestThread("guest");
      threads.add(guest);
      running.add(
          guest.begin(() -> {
            while (ran.get() < 20) {
              busy.safepoint();
            }
            busy.close();
          }));
      for (int s = 0; s < 2; s++) {
        GuestThread sender = new GuestThread("sender " + s);
        threads.add(sender);
        running.add(
            sender.begin(() -> {
              for (int i = 0; i < 50; i++) {
                sent.add(busy.runOnVcpu(ran::incrementAndGet));
              }
            }));
      }
      running.forEach(GuestThread::end);
      threads.forEach(GuestThread::close);
      assertEquals(100, sent.size());
      assertTrue(sent.stream().allMatch(CompletableFuture::isDone), "none is forgotten");
      long failed = sent.stream().filter(CompletableFuture::isCompletedExceptionally).count();
      assertEquals(100, ran.get() + failed);
    }
  }

  @Test
  void virtualThreads_asVcpus_marksAreFoundAndBarriersFinish() throws Exception {
    Assumptions.assumeTrue(Runtime.version().feature() >= 21, "no virtual threads before 21");
    Method newExecutor = Executors.class.getMethod("newVirtualThreadPerTaskExecutor");
    ExecutorService executor = (ExecutorService) Objects.requireNonNull(newExecutor.invoke(null));
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    List<Future<?>> running = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      LogVcpu its = log.addVcpu();
      int number = i;
      running.add(
          executor.submit(() -> {
            for (int k = 0; k < 100; k++) {
              its.mark(slot, 4096L * number, 1);
              its.safepoint();
            }
            its.close();
          }));
    }
    int found = 0;
    while (running.stream().anyMatch(f -> !f.isDone())) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        found += (int) batch.pageCount();
        batch.commit();
      }
    }
    running.forEach(GuestThread::end);
    executor.shutdown();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      found += (int) batch.pageCount();
    }
    assertTrue(found >= 20, found + " pages");
  }

  @Test
  void virtualThread_dead_isReportedAndNotWaitedFor() throws Exception {
    Assumptions.assumeTrue(Runtime.version().feature() >= 21, "no virtual threads before 21");
    Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
    Runnable comesOnlineAndDies = vcpu::online;
    ((Thread) Objects.requireNonNull(start.invoke(null, comesOnlineAndDies))).join();
    log.barrier();
    vcpu.close();
  }
}
