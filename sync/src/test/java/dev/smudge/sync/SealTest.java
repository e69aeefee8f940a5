package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.SealedException;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** docs/bugs.md row 24: writes after the last collection. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SealTest {
  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final TestTracker backend = new TestTracker();
  private final DirtyLog log;
  private final LogSlot slot;

  SealTest(Mode mode) {
    log = mode.builder().errorHandler(errors::add).interceptTracker(backend::over).build();
    slot = log.addSlot(0, 100, 4096);
  }

  @Test
  void bug24_writesAfterSeal_areReportedAndStillDirty() {
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, 1);
    log.mark(slot, 4096, 1);
    assertTrue(errors.isEmpty());
    log.seal();
    assertTrue(log.isSealed());
    assertEquals(Set.of(0L, 1L), Dirty.take(client), "what came before is not late");
    assertTrue(errors.isEmpty());
    vcpu.mark(slot, 0, 1); // dirty before the seal, too
    vcpu.mark(slot, 2 * 4096 + 7, 1);
    vcpu.mark(slot, 2 * 4096 + 8, 1); // once a page
    log.mark(slot, 3 * 4096, 1);
    log.mark(slot, 3 * 4096, 1); // each time
    assertEquals(4, errors.size());
    for (Throwable e : errors) {
      assertEquals(SealedException.class, e.getClass());
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains("slot 0"), message);
      assertTrue(message.contains(Thread.currentThread().toString()), message);
    }
    assertTrue(errors.stream().anyMatch(e -> String.valueOf(e.getMessage()).contains("8199")));
    assertEquals(Set.of(0L, 2L, 3L), Dirty.take(client));
  }

  @Test
  void bug24_vcpuMarksItsWriteTheTimeOfSealAsWarm_isReported() {
    boolean[] tlb = {false};
    LogVcpu vcpu = log.addVcpu(() -> tlb[0] = false);
    log.client("c", InitialView.ALL_DIRTY);
    vcpu.mark(slot, 0, 1); // dirty already: all are, in this view
    tlb[0] = true;
    log.seal();
    vcpu.safepoint();
    assertFalse(tlb[0], "its next store takes the slow path");
    vcpu.mark(slot, 0, 1);
    assertEquals(1, errors.size());
  }

  @Test
  void unseal_writes_areReportedNoMoreAndNothingIsLost() {
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, 1);
    log.seal();
    log.unseal();
    assertFalse(log.isSealed());
    vcpu.mark(slot, 4096, 1);
    assertTrue(errors.isEmpty());
    assertEquals(Set.of(0L, 1L), Dirty.take(client));
  }

  @Test
  void seal_withoutClients_reportsAndLaterClientsLoseNothing() {
    LogVcpu vcpu = log.addVcpu();
    log.seal();
    vcpu.mark(slot, 0, 1);
    assertEquals(1, errors.size());
    log.unseal();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, 1);
    assertEquals(Set.of(0L), Dirty.take(client));
  }

  @Test
  void seal_vcpuRunsAndWritesAllTheTime_everyPageIsTakenOrReported() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
      long[] written = {0};
      Future<?> running =
          guest.begin(() -> {
            while (errors.isEmpty()) { // until its first late write
              vcpu.mark(slot, written[0]++ % 100 * 4096, 1);
              vcpu.safepoint();
            }
            vcpu.offline();
          });
      log.seal();
      GuestThread.end(running);
      assertEquals(1, errors.size());
      assertTrue(Dirty.take(client).contains((written[0] - 1) % 100));
    }
  }

  @Test
  void seal_backendFailsAtAnyPoint_isNotSealedAndNothingIsLost() {
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    int failures = 0;
    for (int points = 0; ; points++) {
      vcpu.mark(slot, 5 * 4096, 1);
      backend.untilFault.set(points);
      try {
        log.seal();
        backend.untilFault.set(-1);
        break;
      } catch (TestTracker.Fault e) {
        failures++;
        assertFalse(log.isSealed(), e.getMessage());
      }
      backend.untilFault.set(-1);
      vcpu.safepoint(); // does not wait: no pause is left behind
      assertEquals(Set.of(5L), Dirty.take(client));
    }
    assertTrue(failures >= 8, failures + " points");
    assertTrue(log.isSealed());
  }
}
