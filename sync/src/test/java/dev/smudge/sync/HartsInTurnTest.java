package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** One thread runs two guest harts in turn. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class HartsInTurnTest {
  private final DirtyLog log;
  private final LogVcpu a;
  private final LogVcpu b;

  HartsInTurnTest(Mode mode) {
    log = mode.log();
    a = log.addVcpu();
    b = log.addVcpu();
  }

  @Test
  void twoHarts_atOnce_refusedAndToldHow() {
    a.online();
    VcpuException e = assertThrows(VcpuException.class, b::online);
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("vCPU 0") && message.contains("vCPU 1"), message);
    assertTrue(message.contains("a.offline(); b.online();"), message);
    assertTrue(a.isOnlineHere());
    a.offline();
    b.online();
    assertTrue(b.isOnlineHere());
    b.offline();
  }

  /** No lock and no wait: another thread has the collector lock, and a third vCPU is stuck. */
  @Test
  void twoHarts_inTurn_waitForNobody() throws Exception {
    LogSlot slot = log.addSlot(0, 64, 1);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogVcpu stuck = log.addVcpu();
    CountDownLatch held = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    try (GuestThread other = new GuestThread("stuck vCPU");
        GuestThread holder = new GuestThread("holder of the lock")) {
      other.run(stuck::online);
      Future<?> holding =
          holder.begin(() ->
              log.collector.underLock(() -> {
                held.countDown();
                try {
                  return end.await(1, TimeUnit.MINUTES);
                } catch (InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              }));
      held.await();
      for (int i = 0; i < 1000; i++) {
        a.online();
        a.mark(slot, i & 31, 1);
        a.safepoint();
        a.offline();
        b.online();
        b.mark(slot, 32 + (i & 31), 1);
        b.safepoint();
        b.offline();
      }
      end.countDown();
      GuestThread.end(holding);
      other.run(stuck::close);
    }
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(64, batch.pageCount());
    }
  }
}
