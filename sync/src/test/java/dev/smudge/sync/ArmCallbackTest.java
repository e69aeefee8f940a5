package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** When a vCPU runs its arm callback, and what that may not call. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class ArmCallbackTest extends BarrierCase {
  ArmCallbackTest(Mode mode) {
    super(mode);
  }

  @Test
  void bug07_barrierPauseTakeOfflineInsideTheArmCallback_failFastAndLoseNothing() {
    List<VcpuException> thrown = new ArrayList<>();
    List<Runnable> tries = new ArrayList<>();
    LogVcpu vcpu =
        log.addVcpu(() -> {
          for (Runnable attempt : tries) {
            thrown.add(assertThrows(VcpuException.class, attempt::run));
          }
        });
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    tries.add(log::barrier);
    tries.add(log::pause);
    tries.add(() -> client.takeRange(log.slot(0), 5, 5));
    tries.add(log::seal);
    tries.add(() -> vcpu.offline());
    client.takeAtMost(1).close();
    vcpu.safepoint();
    assertEquals(5, thrown.size());
    for (VcpuException e : thrown) {
      assertTrue(String.valueOf(e.getMessage()).contains("vCPU 0"), e.getMessage());
      assertTrue(Arrays.toString(e.getStackTrace()).contains("ArmCallbackTest"));
    }
    tries.clear();
    assertFalse(log.isSealed());
    assertFalse(vcpu.state().isOffline());
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(100, batch.pageCount());
    }
  }

  @Test
  void armCallback_throws_comesOutOfTheSafepointAndRunsAgainAtTheNext() {
    int[] runs = {0};
    boolean[] failing = {true};
    LogVcpu vcpu =
        log.addVcpu(() -> {
          runs[0]++;
          if (failing[0]) {
            throw new ArithmeticException("arm");
          }
        });
    vcpu.online();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    try (GuestThread collector = new GuestThread("collector")) {
      AtomicBoolean done = new AtomicBoolean();
      Future<?> take =
          collector.begin(() -> {
            client.take().close();
            done.set(true);
          });
      GuestThread.await(() -> {
        try {
          vcpu.safepoint();
        } catch (ArithmeticException e) {
          return true;
        }
        return false;
      });
      assertThrows(ArithmeticException.class, vcpu::safepoint);
      assertEquals(2, runs[0]);
      assertFalse(done.get(), "not acknowledged yet");
      failing[0] = false;
      vcpu.safepoint();
      assertEquals(3, runs[0]);
      GuestThread.end(take);
      vcpu.safepoint();
      assertEquals(3, runs[0]);
    }
  }

  @Test
  void armCallback_pagesArmedWhileOffline_runsAsItComesOnline() {
    AtomicReference<Thread> ranIn = new AtomicReference<>();
    LogVcpu vcpu = log.addVcpu(() -> ranIn.set(Thread.currentThread()));
    vcpu.online();
    vcpu.offline();
    try (GuestThread collector = new GuestThread("collector")) {
      collector.run(() -> log.client("c", InitialView.NONE_DIRTY));
    }
    assertNull(ranIn.get());
    vcpu.online();
    assertSame(Thread.currentThread(), ranIn.get());
  }
}
