package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a vCPU does when its ring is soft full: policies of the embedder's own, and SPILL. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingPolicyTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 100;

  /** What the vCPU does at a soft full ring, one after the other; nothing if there is none left. */
  private final List<RingFullPolicy> policies = new ArrayList<>();

  private int calls;
  private boolean armFails;
  private final TestTracker backend = new TestTracker();

  private final DirtyLog log =
      DirtyLog.builder()
          .ring(
              8,
              4,
              vcpu -> {
                calls++;
                if (!policies.isEmpty()) {
                  policies.remove(0).ringFull(vcpu);
                }
              })
          .interceptTracker(backend::over)
          .build();
  private final LogSlot slot = log.addSlot(0, PAGES, PAGE);
  private final LogVcpu vcpu =
      log.addVcpu(() -> {
        if (armFails) {
          throw new ArithmeticException("arm");
        }
      });
  private final DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);

  private int nextPage;

  private void markSome(int pages) {
    for (int i = 0; i < pages; i++) {
      vcpu.mark(slot, (long) nextPage * PAGE, 1);
      nextPage++;
    }
  }

  private void assertDirty(int pages) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(pages, batch.pageCount());
      batch.commit();
    }
  }

  @Test
  void callback_isCalledAtASafepointByTheVcpusThreadOnline() {
    policies.add(full -> {
      assertSame(vcpu, full);
      assertSame(Thread.currentThread(), full.state().owner());
      assertFalse(full.state().isOffline());
    });
    markSome(3);
    vcpu.safepoint();
    assertEquals(0, calls);
    markSome(1);
    assertEquals(0, calls, "not in the middle of a block");
    vcpu.safepoint();
    assertEquals(1, calls);
    vcpu.safepoint();
    assertEquals(1, calls, "again after the next page only");
    markSome(1);
    vcpu.safepoint();
    assertEquals(2, calls);
    assertDirty(5);
  }

  @Test
  void callback_syncsOrTakes_ringHasRoomAndNothingIsLost() {
    int[] taken = {0};
    policies.add(full -> log.sync());
    policies.add(full -> {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        taken[0] += (int) batch.pageCount();
        batch.commit();
      }
    });
    markSome(5);
    vcpu.safepoint();
    markSome(5);
    vcpu.safepoint();
    assertEquals(10, taken[0]);
    assertEquals(2, calls);
    markSome(1);
    vcpu.safepoint();
    assertEquals(2, calls);
    assertEquals(0, log.counters().ringSpills());
    assertDirty(1);
  }

  @Test
  void callback_reapsOrClosesTheClientOrTheLog_works() {
    policies.add(full -> {
      try {
        assertEquals(4, log.reaper().doWork());
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    });
    policies.add(full -> client.close());
    policies.add(full -> log.close());
    for (int i = 1; i <= 3; i++) {
      markSome(4);
      vcpu.safepoint();
      assertEquals(Math.min(i, 2), calls, "no client: nothing is armed");
    }
  }

  @Test
  void callback_throws_comesOutOfTheSafepointAndItIsCalledAgainAfterTheNextPage() {
    policies.add(full -> {
      throw new ArithmeticException("policy");
    });
    markSome(4);
    assertThrows(ArithmeticException.class, vcpu::safepoint);
    vcpu.safepoint();
    assertEquals(1, calls);
    assertFalse(vcpu.state().isOffline());
    markSome(1);
    vcpu.safepoint();
    assertEquals(2, calls);
    log.barrier();
    assertDirty(5);
  }

  @Test
  void callback_goesOffline_theNextSafepointBringsItOnline() {
    policies.add(LogVcpu::offline);
    markSome(4);
    vcpu.safepoint();
    assertTrue(vcpu.state().isOffline());
    vcpu.safepoint(); // before raw stores
    assertFalse(vcpu.state().isOffline(), "nobody would wait for it, and it runs");
    assertDirty(4);
  }

  @Test
  void callback_goesOfflineAndALimitIsDue_isNotOnlineWithoutAThread() {
    policies.add(LogVcpu::offline);
    vcpu.limitDirtyRate(200L * PAGE); // 4 pages: 20 ms
    markSome(4);
    vcpu.safepoint();
    assertTrue(vcpu.state().isOffline());
    try (GuestThread other = new GuestThread("other")) {
      other.run(log::barrier); // does not wait for it
    }
    assertDirty(4);
  }

  @Test
  void callback_closesItsVcpu_itIsClosed() {
    policies.add(LogVcpu::close);
    vcpu.limitDirtyRate(200L * PAGE);
    markSome(4);
    vcpu.safepoint();
    assertTrue(vcpu.state().isOffline());
    assertThrows(VcpuException.class, vcpu::safepoint);
    assertDirty(4);
  }

  @Test
  void callback_marksPages_safepointEnds() {
    for (int i = 0; i < 1_000; i++) {
      policies.add(full -> full.mark(slot, 7 * PAGE - 1, 2)); // never the fast path
    }
    markSome(4);
    vcpu.safepoint();
    assertTrue(calls < 10, calls + " calls in a safepoint");
    assertDirty(6);
  }

  /** A flag that stays set would switch back-pressure off for good. */
  @Test
  void softFull_taskTakesTheVcpuOfflineAtThatSafepoint_policyIsRunLater() {
    markSome(4);
    try (GuestThread other = new GuestThread("other")) {
      List<CompletableFuture<@Nullable Void>> task = new ArrayList<>();
      other.run(() -> task.add(vcpu.runOnVcpu(vcpu::offline)));
      vcpu.safepoint();
      assertTrue(task.get(0).isDone());
    }
    assertTrue(vcpu.state().isOffline());
    assertEquals(0, calls);
    markSome(1);
    vcpu.safepoint();
    assertEquals(1, calls);
  }

  @Test
  void softFull_armCallbackThrowsAtThatSafepoint_policyIsRunLater() {
    vcpu.online();
    try (GuestThread other = new GuestThread("other")) {
      DirtyClient<LogSlot> second = log.client("d", InitialView.ALL_DIRTY);
      second.takeAtMost(1).close();
      markSome(1);
      int before = backend.barriers.get();
      Future<?> take = other.begin(() -> second.take().close());
      GuestThread.await(() -> backend.barriers.get() > before); // pages were armed
      markSome(5);
      armFails = true;
      assertThrows(ArithmeticException.class, vcpu::safepoint);
      armFails = false;
      GuestThread.await(() -> {
        vcpu.safepoint();
        return take.isDone();
      });
      GuestThread.end(take);
    }
    calls = 0;
    markSome(1);
    vcpu.safepoint();
    assertEquals(1, calls);
  }

  @Test
  void wait_calledForAVcpuThatIsNotTheCallers_isRefusedAndChangesNothing() {
    markSome(4);
    try (GuestThread other = new GuestThread("other")) {
      VcpuException e =
          assertThrows(
              VcpuException.class, () -> other.run(() -> RingFullPolicy.WAIT.ringFull(vcpu)));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains("vCPU 0") && message.contains("other"), message);
    }
    assertFalse(vcpu.state().isOffline());
    vcpu.offline();
    assertThrows(VcpuException.class, () -> RingFullPolicy.WAIT.ringFull(vcpu));
    assertTrue(vcpu.state().isOffline());
  }

  @Test
  void spill_ringIsFull_vcpuRunsOnAndPagesGoToTheBitmap() {
    DirtyLog spilling = DirtyLog.builder().ring(8, 4, RingFullPolicy.SPILL).build();
    LogSlot ram = spilling.addSlot(3, 200, PAGE);
    LogVcpu its = spilling.addVcpu();
    DirtyClient<LogSlot> c = spilling.client("c", InitialView.NONE_DIRTY);
    for (int page = 0; page < 200; page++) {
      its.mark(ram, (long) page * PAGE, 1);
      its.safepoint();
      assertFalse(its.state().isOffline());
    }
    assertEquals(192, spilling.counters().ringSpills());
    assertEquals(0, spilling.counters().ringFullWaits());
    try (DirtyBatch<LogSlot> batch = c.take()) {
      assertEquals(200, batch.pageCount());
      batch.commit();
    }
    assertEquals(8, spilling.counters().ringEntries());
    its.mark(ram, 100 * PAGE, 1);
    assertEquals(192, spilling.counters().ringSpills(), "there is room again");
    its.close();
    try (DirtyBatch<LogSlot> batch = c.take()) {
      assertEquals(1, batch.pageCount());
    }
  }

  @Test
  void ring_badValues_areRefusedWithBoth() {
    DirtyLogBuilder builder = DirtyLog.builder();
    for (int entries : new int[] {-1, 0, 1, 3, 100, 65_537, 131_072, Integer.MIN_VALUE}) {
      IllegalArgumentException e =
          assertThrows(IllegalArgumentException.class, () -> builder.ring(entries));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains("" + entries) && message.contains("65536"), message);
    }
    for (int reserve : new int[] {-1, 8, 9, Integer.MAX_VALUE}) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> builder.ring(8, reserve, RingFullPolicy.SPILL));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains("" + reserve) && message.contains("0 to 7"), message);
    }
    IllegalStateException e =
        assertThrows(IllegalStateException.class, () -> builder.build().reaper());
    assertTrue(String.valueOf(e.getMessage()).contains("ring"), e.getMessage());
    for (int entries = 2; entries <= 65_536; entries *= 2) {
      DirtyLog.builder().ring(entries).build().addVcpu().close();
      DirtyLog.builder().ring(entries, entries - 1, RingFullPolicy.WAIT).build().addVcpu().close();
    }
  }
}
