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
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Whose a vCPU is after a task or a policy has given it away, taken it offline, or closed it. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class VcpuHandoverTest {
  private final Mode mode;
  private final DirtyLog log;
  private final LogVcpu vcpu;
  private final GuestThread first = new GuestThread("first");
  private final GuestThread second = new GuestThread("second");

  VcpuHandoverTest(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().timeout(Duration.ofSeconds(5)).build();
    this.vcpu = log.addVcpu();
  }

  @AfterEach
  void close() {
    first.close();
    second.close();
  }

  private CompletableFuture<@Nullable Void> send(Runnable task) {
    List<CompletableFuture<@Nullable Void>> sent = new ArrayList<>();
    try (GuestThread sender = new GuestThread("sender")) {
      sender.run(() -> sent.add(vcpu.runOnVcpu(task)));
    }
    return sent.get(0);
  }

  /** The second thread runs empty blocks, as the vCPU, until it is told to stop. */
  private Future<?> runBlocks(LogVcpu its, AtomicBoolean stop, CountDownLatch runs) {
    return second.begin(() -> {
      its.online();
      runs.countDown();
      while (!stop.get()) {
        its.safepoint();
      }
      its.offline();
    });
  }

  @Test
  void task_handsTheVcpuOverAndGoesOn_theNewOwnerAnswers() {
    AtomicBoolean stop = new AtomicBoolean();
    CountDownLatch runs = new CountDownLatch(1);
    CountDownLatch taskGoesOn = new CountDownLatch(1);
    List<Future<?>> blocks = new ArrayList<>();
    first.run(vcpu::online);
    CompletableFuture<?> task =
        send(() -> {
          vcpu.offline();
          blocks.add(runBlocks(vcpu, stop, runs));
          GuestThread.await(taskGoesOn);
        });
    Future<?> safepoint = first.begin(vcpu::safepoint);
    GuestThread.await(runs);
    for (int i = 0; i < 10; i++) {
      log.barrier();
      log.pause().close();
    }
    AtomicReference<Thread> ranIn = new AtomicReference<>();
    send(() -> ranIn.set(Thread.currentThread())).join();
    assertFalse(task.isDone(), "it is in the first thread still");
    taskGoesOn.countDown();
    GuestThread.end(safepoint);
    assertNotOnline(first);
    log.barrier();
    log.pause().close();
    stop.set(true);
    GuestThread.end(blocks.get(0));
    AtomicReference<Thread> secondThread = new AtomicReference<>();
    second.run(() -> secondThread.set(Thread.currentThread()));
    assertSame(secondThread.get(), ranIn.get());
    first.run(vcpu::safepoint); // online again, in the first
    first.run(vcpu::close);
  }

  private void assertNotOnline(GuestThread thread) {
    thread.run(() -> assertFalse(vcpu.isOnlineHere()));
  }

  @Test
  void task_handsTheVcpuOver_laterTasksAreTheNewOwners() {
    AtomicReference<String> ranIn = new AtomicReference<>();
    first.run(vcpu::online);
    CompletableFuture<?> hands =
        send(() -> {
          vcpu.offline();
          second.run(vcpu::online);
        });
    CompletableFuture<?> later = send(() -> ranIn.set(Thread.currentThread().getName()));
    first.run(vcpu::safepoint);
    hands.join();
    later.join();
    assertEquals("second", ranIn.get());
    second.run(vcpu::close);
  }

  @Test
  void task_goesOffline_laterTasksWaitUntilItIsOnline() {
    first.run(vcpu::online);
    CompletableFuture<?> leaves = send(vcpu::offline);
    CompletableFuture<?> later = send(() -> {});
    first.run(vcpu::safepoint);
    leaves.join();
    assertFalse(later.isDone(), "no thread is online as the vCPU");
    first.run(vcpu::safepoint);
    later.join();
    first.run(vcpu::close);
  }

  @Test
  void task_goesOfflineAndOnline_safepointLeavesItOnlineAndItAnswers() {
    first.run(vcpu::online);
    CompletableFuture<?> task =
        send(() -> {
          vcpu.offline();
          vcpu.online();
          log.barrier();
        });
    first.run(vcpu::safepoint);
    task.join();
    first.run(() -> assertTrue(vcpu.isOnlineHere()));
    Future<?> barrier = second.begin(log::barrier);
    GuestThread.await(() -> {
      first.run(vcpu::safepoint);
      return barrier.isDone();
    });
    GuestThread.end(barrier);
    first.run(vcpu::close);
  }

  @Test
  void policy_handsTheVcpuOver_theNewOwnerAnswers() {
    AtomicBoolean stop = new AtomicBoolean();
    CountDownLatch runs = new CountDownLatch(1);
    List<Future<?>> blocks = new ArrayList<>();
    AtomicBoolean handedOver = new AtomicBoolean();
    RingFullPolicy policy =
        full -> {
          if (handedOver.compareAndSet(false, true)) {
            full.offline();
            blocks.add(runBlocks(full, stop, runs));
            GuestThread.await(runs);
            full.index();
          }
        };
    try (DirtyLog ringLog =
        DirtyLog.builder().ring(4, 1, policy).timeout(Duration.ofSeconds(5)).build()) {
      LogSlot slot = ringLog.addSlot(0, 64, 1);
      DirtyClient<LogSlot> client = ringLog.client("c", InitialView.NONE_DIRTY);
      LogVcpu its = ringLog.addVcpu();
      first.run(() -> {
        its.mark(slot, 0, 4);
        its.safepoint();
        assertFalse(its.isOnlineHere());
      });
      ringLog.barrier();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(4, batch.pageCount());
      }
      stop.set(true);
      GuestThread.end(blocks.get(0));
    }
  }

  @Test
  void online_taskTakesItOffline_isOnlineNonetheless() {
    CompletableFuture<?> task = send(vcpu::offline);
    vcpu.online();
    task.join();
    assertTrue(vcpu.isOnlineHere());
    assertFalse(vcpu.state().isOffline());
    vcpu.close();
  }

  @Test
  void mark_taskTakesItOfflineAsItComesOnline_laterWriteIsFound() {
    LogSlot slot = log.addSlot(0, 64, 1);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    CompletableFuture<?> task = send(vcpu::offline);
    vcpu.mark(slot, 3, 1);
    task.join();
    assertTrue(vcpu.isOnlineHere(), "barriers wait for it from here on");
    vcpu.offline();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(1, batch.pageCount());
    }
  }

  @Test
  void online_taskClosesIt_isRefused() {
    CompletableFuture<?> task = send(vcpu::close);
    VcpuException e = assertThrows(VcpuException.class, () -> vcpu.online());
    task.join();
    assertTrue(String.valueOf(e.getMessage()).contains("vCPU 0 is closed"), e.getMessage());
    assertFalse(vcpu.isOnlineHere());
    log.barrier();
  }

  @Test
  void online_taskHandsItOver_isRefusedAndTheNewOwnerGoesOn() {
    CompletableFuture<?> task =
        send(() -> {
          vcpu.offline();
          second.run(vcpu::online);
        });
    VcpuException e = assertThrows(VcpuException.class, () -> vcpu.online());
    task.join();
    assertTrue(String.valueOf(e.getMessage()).contains("second"), e.getMessage());
    assertFalse(vcpu.isOnlineHere());
    second.run(() -> assertTrue(vcpu.isOnlineHere()));
    second.run(vcpu::safepoint);
    second.run(vcpu::close);
  }

  @Test
  void isOnlineHere_fromOnlineToOffline_forItsThreadOnly() {
    assertFalse(vcpu.isOnlineHere());
    first.run(() -> {
      vcpu.safepoint();
      assertTrue(vcpu.isOnlineHere());
    });
    assertFalse(vcpu.isOnlineHere());
    assertNotOnline(second);
    first.run(() -> {
      vcpu.offline();
      assertFalse(vcpu.isOnlineHere());
    });
    second.run(() -> {
      vcpu.online();
      assertTrue(vcpu.isOnlineHere());
      vcpu.close();
      assertFalse(vcpu.isOnlineHere());
    });
  }

  @Test
  void handler_calledInAWait_findsTheVcpuOfflineAndLeavesItSo() throws Exception {
    List<Boolean> online = new ArrayList<>();
    List<Boolean> offlineToOthers = new ArrayList<>();
    List<Throwable> refused = new ArrayList<>();
    DirtyLog[] handled = new DirtyLog[1];
    LogVcpu[] mine = new LogVcpu[1];
    try (DirtyLog its =
        mode.builder()
            .errorHandler(e -> {
              LogVcpu own = mine[0];
              online.add(own.isOnlineHere());
              handled[0].barrier(); // comes back from a wait of its own
              offlineToOthers.add(own.state().isOffline());
              refused.add(assertThrows(VcpuException.class, own::safepoint));
            })
            .build()) {
      handled[0] = its;
      LogVcpu dead = its.addVcpu();
      mine[0] = its.addVcpu();
      Thread dies = new Thread(dead::online);
      dies.start();
      dies.join();
      mine[0].online();
      its.barrier();
      assertTrue(mine[0].isOnlineHere());
      assertFalse(mine[0].state().isOffline());
      assertEquals(List.of(false), online);
      assertEquals(List.of(true), offlineToOthers);
      assertEquals(1, refused.size());
      mine[0].offline();
    }
  }

  @Test
  void handler_takesTheVcpuOfflineAndOnlineInAWait_laterWaitsBringItBack() throws Exception {
    LogVcpu[] mine = new LogVcpu[1];
    try (DirtyLog its =
        mode.builder()
            .errorHandler(e -> {
              mine[0].offline();
              mine[0].online();
            })
            .build()) {
      LogVcpu dead = its.addVcpu();
      mine[0] = its.addVcpu();
      Thread dies = new Thread(dead::online);
      dies.start();
      dies.join();
      mine[0].online();
      for (int i = 0; i < 3; i++) {
        its.barrier();
        assertTrue(mine[0].isOnlineHere(), "after barrier " + i);
        assertFalse(mine[0].state().isOffline());
      }
      mine[0].offline();
    }
  }
}
