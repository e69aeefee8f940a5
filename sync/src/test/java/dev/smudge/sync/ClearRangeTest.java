package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** docs/bugs.md row 1 and 2: clear ranges of the software backend, by KVM's rule. */
class ClearRangeTest {
  private final TestTracker backend = new TestTracker();
  private final DirtyLog log = backend.log(Mode.BITMAP);
  private final long[] all = new long[100];

  ClearRangeTest() {
    Arrays.fill(all, -1L);
  }

  private static long live(LogSlot slot) {
    return LongStream.range(0, slot.pageCount()).filter(slot::isMarked).count();
  }

  private static boolean isAllowed(long first, long count, long pages) {
    BigInteger end = BigInteger.valueOf(first).add(BigInteger.valueOf(count));
    boolean inside = first >= 0 && count >= 0 && end.compareTo(BigInteger.valueOf(pages)) <= 0;
    boolean toTheEnd = end.equals(BigInteger.valueOf(pages));
    return inside && first % 64 == 0 && (count % 64 == 0 || toTheEnd);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 4099})
  void bug01_clearDirtyLog_everyEdge_throwsAndChangesNothingOrClearsExactly(long pages) {
    LogSlot slot = log.addSlot(0, pages, 4096);
    LogSlot neighbour = log.addSlot(1, pages, 4096);
    Set<Long> edges = new TreeSet<>();
    long[] centers = {
      0, 64, pages, pages & -64L, -pages, 1L << 31, 1L << 32, 1L << 38, Long.MIN_VALUE
    };
    for (long center : centers) {
      for (long d : new long[] {-64, -1, 0, 1, 63, 64}) {
        edges.add(center + d);
      }
    }
    int refused = 0;
    for (long first : edges) {
      for (long count : edges) {
        if (isAllowed(first, count, pages)) {
          backend.part(slot).clear(first, count, all);
          assertEquals(pages - count, live(slot), () -> first + ", " + count);
          Objects.requireNonNull(slot.live).disarm();
        } else {
          refused++;
          IllegalArgumentException e =
              assertThrows(
                  IllegalArgumentException.class,
                  () -> backend.part(slot).clear(first, count, all),
                  () -> first + ", " + count);
          assertTrue(String.valueOf(e.getMessage()).contains(String.valueOf(first)));
          assertEquals(pages, live(slot), () -> first + ", " + count);
        }
      }
    }
    assertTrue(refused > 100);
    assertEquals(pages, live(neighbour));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 4099})
  void bug02_tailClear_anySlotSize_worksAndOneShortIsRefused(long pages) {
    LogSlot slot = log.addSlot(0, pages, 4096);
    long tail = (pages - 1) & -64L;
    long count = pages - tail;
    if (count > 1 && count < 64) {
      assertThrows(
          IllegalArgumentException.class, () -> backend.part(slot).clear(tail, count - 1, all));
      assertEquals(pages, live(slot));
    }
    backend.part(slot).clear(tail, count, all);
    assertEquals(tail, live(slot));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 4099})
  void bug02_takeOfTheLastPage_anySlotSize_reportsItsNextWrite(long pages) {
    LogSlot slot = log.addSlot(0, pages, 4096);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    for (int i = 0; i < 2; i++) {
      try (DirtyBatch<LogSlot> batch = client.takeRange(log.slot(0), pages - 1, 1)) {
        assertEquals(1, batch.pageCount());
        batch.commit();
      }
      assertEquals(pages - 1, live(slot));
      vcpu.mark(slot, slot.pageCount() * slot.pageSize() - 1, 1);
    }
  }

  @Test
  void clear_bitmapTooShort_throwsAndChangesNothing() {
    LogSlot slot = log.addSlot(0, 129, 4096);
    assertThrows(
        IllegalArgumentException.class,
        () -> backend.part(slot).clear(0, 129, new long[] {-1L, -1L}));
    assertEquals(129, live(slot));
  }

  /** Words 0, 64 and 200, and word 7 that is written after the fetch. */
  @Test
  void take_wordsApart_rangesGoOnOverShortGapsAndClearNothingThere() {
    LogSlot slot = log.addSlot(0, 200 * 64 + 3, 4096);
    try (LogVcpu vcpu = log.addVcpu();
        DirtyClient<LogSlot> client = log.client("client", InitialView.NONE_DIRTY)) {
      for (long page : new long[] {5, 64 * 64 + 1, 200 * 64 + 2}) {
        vcpu.mark(slot, page << 12, 8);
      }
      log.sync();
      vcpu.mark(slot, 7L << 18, 8);
      backend.calls.clear();
      try (DirtyBatch<LogSlot> batch = client.takeSynced()) {
        assertEquals(3, batch.pageCount());
        batch.commit();
      }
      assertEquals(2, backend.count("clear"), backend.calls.toString());
      assertTrue(backend.calls.contains("clear 0 12800 3 4"), backend.calls.toString());
      assertEquals(1, live(slot));
    }
  }
}
