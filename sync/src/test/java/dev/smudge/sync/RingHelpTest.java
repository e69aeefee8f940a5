package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.software.HalfDoneMark;
import dev.smudge.sync.internal.software.VcpuMarks;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whoever relies on a live bit is found, wherever the vCPU that has set it was stopped. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingHelpTest {
  private static final int PAGE = 4096;

  private final DirtyLog log = DirtyLog.builder().ring(256).errorHandler(e -> {}).build();
  private final LogSlot slot = log.addSlot(5, 1_000, PAGE);
  private final LogVcpu a = log.addVcpu();
  private final LogVcpu b = log.addVcpu();
  private final DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);

  @Test
  void sync_vcpuStoppedBetweenBitAndPush_pageOfAnotherThatReliedOnItIsFound() {
    HalfDoneMark half = new HalfDoneMark(a.marks(), slot.live, slot.slot.entryId(), 70);
    b.mark(slot, 70 * PAGE, 1); // finds the bit set
    assertEquals(0, Dirty.madeBy(b));
    b.safepoint();
    log.sync();
    assertEquals(1, client.dirtyPages());
    assertEquals(Set.of(70L), Dirty.take(client, 5));
    b.mark(slot, 70 * PAGE + 8, 1); // armed by the take: its own entry
    assertEquals(1, Dirty.madeBy(b));
    half.end();
    assertEquals(Set.of(70L), Dirty.take(client, 5));
    assertEquals(Set.of(), Dirty.take(client, 5));
    b.mark(slot, 70 * PAGE + 16, 1);
    assertEquals(Set.of(70L), Dirty.take(client, 5));
  }

  @Test
  void sync_vcpuStoppedAllTheTime_findsEveryWriteOfOthersAndNothingElse() {
    HalfDoneMark half = new HalfDoneMark(a.marks(), slot.live, slot.slot.entryId(), 70);
    assertEquals(Set.of(70L), Dirty.take(client, 5));
    for (int i = 0; i < 5; i++) {
      assertEquals(Set.of(), Dirty.take(client, 5));
      b.mark(slot, 71 * PAGE - 1, 2);
      b.mark(slot, 500 * PAGE, 1);
      assertEquals(Set.of(70L, 71L, 500L), Dirty.take(client, 5));
    }
    half.end();
    assertEquals(Set.of(70L), Dirty.take(client, 5), "once more does no harm");
    assertEquals(Set.of(), Dirty.take(client, 5));
  }

  @Test
  void close_vcpuDiedBetweenBitAndPush_pageIsFound() throws Exception {
    Thread thread =
        new Thread(() -> {
          a.mark(slot, 3 * PAGE, 1);
          new HalfDoneMark(a.marks(), slot.live, slot.slot.entryId(), 70);
        });
    thread.start();
    thread.join();
    b.mark(slot, 70 * PAGE, 1);
    b.safepoint();
    a.close(); // its ring goes with it
    assertEquals(Set.of(3L, 70L), Dirty.take(client, 5));
  }

  @Test
  void take_vcpuDiedBetweenBitAndPushAndIsNotClosed_pageIsFound() throws Exception {
    Thread thread =
        new Thread(() -> new HalfDoneMark(a.marks(), slot.live, slot.slot.entryId(), 70));
    thread.start();
    thread.join();
    b.mark(slot, 70 * PAGE, 1);
    assertEquals(Set.of(70L), Dirty.take(client, 5));
    assertEquals(Set.of(), Dirty.take(client, 5));
    a.close();
    assertEquals(Set.of(), Dirty.take(client, 5));
  }

  /** The write under way may name what is no more: compared, and nothing indexed. */
  @Test
  void bug12_underWayNamesNoSlotOrNoWord_isIgnored() {
    VcpuMarks ring = a.marks();
    for (long forged :
        new long[] {
          6L << 32, 0xffffL << 32, 5L << 32 | 16, 5L << 32 | 0xffff_ffffL, Long.MIN_VALUE, -2
        }) {
      HalfDoneMark.setUnderWay(ring, forged);
      b.mark(slot, 8 * PAGE, 1);
      assertEquals(Set.of(8L), Dirty.take(client, 5), Long.toHexString(forged));
    }
  }

  @Test
  void mark_slotOfAnotherLog_isRefusedAndMarksNothing() {
    for (Mode mode : Mode.values()) {
      DirtyLog other = mode.log();
      other.addSlot(6, 10, PAGE);
      LogSlot same = other.addSlot(5, 2_000, PAGE);
      LogVcpu its = other.addVcpu();
      DirtyClient<LogSlot> others = other.client("others", InitialView.NONE_DIRTY);
      IllegalArgumentException e =
          assertThrows(IllegalArgumentException.class, () -> its.mark(slot, 0, 1));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains(slot.toString()) && message.contains("[6, 5]"), message);
      assertThrows(IllegalArgumentException.class, () -> a.mark(same, 1_500L * PAGE, 1));
      a.offline();
      assertEquals(Set.of(), Dirty.take(client, 5));
      its.offline();
      try (DirtyBatch<LogSlot> batch = others.take()) {
        assertEquals(0, batch.pageCount());
      }
      assertEquals(0, Dirty.madeBy(its) + Dirty.madeBy(a));
    }
  }

  /** The steps of the marker as it makes them: a page that was seen marked is in the next sync. */
  @Test
  void sync_pageSeenMarkedWhileItsMarkerIsHalfWay_isFound() {
    int rounds = 20_000;
    int least = 500; // where the two share a core with others: as many as the time allows
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(8);
    AtomicInteger round = new AtomicInteger();
    AtomicInteger marked = new AtomicInteger();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            for (int i = 1; i <= rounds; i++) {
              for (int spins = 0; round.getAcquire() < i; spins++) {
                a.safepoint();
                if (spins > 5_000) {
                  LockSupport.parkNanos(1_000); // the other has no core
                }
              }
              a.mark(slot, 70 * PAGE, 1);
              marked.setRelease(i);
            }
            a.offline(); // not closed: that takes the last bit before the other has seen it
          });
      int missed = 0;
      for (int i = 1; i <= least || (i <= rounds && System.nanoTime() - end < 0); i++) {
        round.setRelease(i);
        for (int spins = 0; !slot.isMarked(70); spins++) {
          Thread.onSpinWait();
          if (spins > 5_000) {
            LockSupport.parkNanos(1_000); // the other has no core
          }
        }
        log.sync();
        missed += client.dirtyPages() == 1 ? 0 : 1;
        int finished = i;
        GuestThread.await(() -> marked.getAcquire() >= finished);
        log.sync();
        client.discard(log.slot(5), 70, 1);
      }
      round.setRelease(rounds); // those that are left out
      GuestThread.end(running);
      assertEquals(0, missed);
    }
  }
}
