package dev.smudge.sync.internal.software;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.ReportedBitmap;
import dev.smudge.ring.DirtyRing;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** The ring of a vCPU alone. */
class VcpuRingTest {
  private static Set<Long> range(long first, long end) {
    Set<Long> pages = new TreeSet<>();
    LongStream.range(first, end).forEach(pages::add);
    return pages;
  }

  @Test
  void bug14_resetCutShort_nextReapFinishesItAndHandsThePagesOut() {
    VcpuRing ring = new VcpuRing(DirtyRing.allocate(256, 0));
    ReportedBitmap live = new ReportedBitmap(1_000);
    Set<Long> armed = new TreeSet<>();
    Set<Long> told = new TreeSet<>();
    ring.mark(live, 0, 0, 199);
    for (int failing : new int[] {0, 0, 1, 1, 0}) { // of 4 words
      int[] left = {failing};
      assertThrows(
          ArithmeticException.class,
          () ->
              ring.reap(
                  (id, word, mask) -> {
                    if (left[0]-- == 0) {
                      throw new ArithmeticException("armer");
                    }
                  },
                  (id, page) -> told.add(page)));
      assertTrue(told.isEmpty(), "not armed, not told");
    }
    ring.mark(live, 0, 300, 310);
    int entries =
        ring.reap(
            (id, word, mask) -> armed.addAll(range(word * 64, word * 64 + 64)),
            (id, page) -> told.add(page));
    assertEquals(211, entries, "11 harvested now, 200 before");
    assertTrue(armed.containsAll(range(128, 200)) && armed.contains(310L), armed::toString);
    Set<Long> expected = range(0, 200);
    expected.addAll(range(300, 311));
    assertEquals(expected, told);
    assertFalse(ring.isSoftFull());
    assertEquals(211, ring.counters().entries());
  }
}
