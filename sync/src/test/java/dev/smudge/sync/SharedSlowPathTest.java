package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.util.Arrays;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** A slow path that serves a CPU and its devices: it marks with {@link DirtyLog#mark}. */
@Timeout(60)
@ParameterizedClass
@EnumSource(Mode.class)
class SharedSlowPathTest {
  private static final int PAGES = 64;

  private final DirtyLog log;
  private final LogSlot slot;
  private final boolean[] writeTlb = new boolean[PAGES];
  private final LogVcpu vcpu;
  private int flushes;

  SharedSlowPathTest(Mode mode) {
    log = mode.log();
    slot = log.addSlot(0, PAGES, 4096);
    vcpu =
        log.addVcpu(() -> {
          flushes++;
          Arrays.fill(writeTlb, false);
        });
  }

  private void store(int page) {
    if (!writeTlb[page]) {
      log.mark(slot, page * 4096L, 1);
      writeTlb[page] = true;
    }
  }

  @Test
  void mark_byTheThreadOfAVcpu_isTheVcpus() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.online();
    for (int round = 1; round <= 3; round++) {
      store(5);
      store(6);
      vcpu.safepoint();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(2, batch.pageCount(), "round " + round);
        batch.commit();
      }
      assertFalse(writeTlb[5], "armed, so dropped");
    }
    assertEquals(6, Dirty.madeBy(vcpu));
    assertTrue(flushes >= 3);
    vcpu.close();
  }

  /** The bit that the vCPU sets is one on which it relies itself. */
  @Test
  void mark_byTheThreadOfAVcpu_setsTheLiveBit() {
    log.client("c", InitialView.NONE_DIRTY);
    vcpu.online();
    log.mark(slot, 0, 1);
    assertTrue(slot.isMarked(0));
    vcpu.offline();
    log.mark(slot, 4096, 1);
    assertFalse(slot.isMarked(1), "of a thread on whose marks no vCPU may rely");
  }

  @Test
  void mark_severalPagesOrNone_setsTheLiveBitsOfThoseInside() {
    log.client("c", InitialView.NONE_DIRTY);
    vcpu.online();
    log.mark(slot, 4096, 0);
    assertFalse(slot.isMarked(1));
    log.mark(slot, 4096 + 7, 2 * 4096);
    assertTrue(slot.isMarked(1) && slot.isMarked(2) && slot.isMarked(3));
    assertEquals(3, Dirty.madeBy(vcpu));
    log.mark(slot, 4096, 3 * 4096);
    assertEquals(3, log.counters().devicePages(), "as ever, where all are marked");
    for (long[] outside : new long[][] {{-1, 2}, {0, -1}, {1, 64 * 4096}, {1, Long.MAX_VALUE}}) {
      assertThrows(IndexOutOfBoundsException.class, () -> log.mark(slot, outside[0], outside[1]));
    }
    vcpu.offline();
  }

  @Test
  void mark_byAnotherThread_isNot() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread device = new GuestThread("device")) {
      vcpu.online();
      Future<?> marks = device.begin(() -> log.mark(slot, 4096, 1));
      GuestThread.end(marks);
      assertFalse(slot.isMarked(1));
      assertEquals(0, Dirty.madeBy(vcpu));
      vcpu.offline();
    }
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(1, batch.pageCount());
    }
  }

  /** Where the stack ends as it goes offline, it may have gone half of the way. */
  @Test
  void mark_stackEndsAsTheVcpuGoesOffline_isTheVcpusWhileItIsOnline() {
    LogSlot large = log.addSlot(1, 100_000, 4096);
    log.client("c", InitialView.NONE_DIRTY);
    int[] page = new int[1];
    int[] stayed = new int[1];
    StackSqueeze.squeeze(
        vcpu::online,
        vcpu::offline,
        thrown -> {
          boolean online = vcpu.isOnlineHere();
          stayed[0] += online ? 1 : 0;
          log.mark(large, page[0] * 4096L, 1);
          assertEquals(online, large.isMarked(page[0]), () -> "after " + thrown);
          page[0]++;
        });
    assertTrue(stayed[0] > 5, "it was online after " + stayed[0] + " errors");
  }
}
