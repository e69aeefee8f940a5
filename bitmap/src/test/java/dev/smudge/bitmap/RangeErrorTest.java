package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Ranges at and past every edge: docs/bugs.md rows 1, 2 and 4. */
class RangeErrorTest {
  /** Values around 0, the page count, 2^31, 2^32, 2^63; as unsigned also 2^64. */
  private static Set<Long> edges(long pages) {
    Set<Long> edges = new TreeSet<>();
    long[] centers = {
      0, 64, pages, pages & -64L, -pages, 1L << 31, 1L << 32, 1L << 37, 1L << 62, Long.MIN_VALUE
    };
    for (long center : centers) {
      for (long distance : new long[] {-65, -64, -1, 0, 1, 63, 64}) {
        edges.add(center + distance);
      }
    }
    return edges;
  }

  /** The rule, with numbers that do not wrap. */
  private static boolean isInside(long first, long count, long pages) {
    return first >= 0
        && count >= 0
        && BigInteger.valueOf(first)
                .add(BigInteger.valueOf(count))
                .compareTo(BigInteger.valueOf(pages))
            <= 0;
  }

  private interface RangeOperation {
    void apply(long first, long count);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 513, 4099, 32_769})
  void bug01_clearRange_everyEdge_throwsAndChangesNothingOrClearsExactly(long pages) {
    DirtyBitmap bitmap = new DirtyBitmap(pages);
    bitmap.markRange(0, pages);
    PageSet taken = new PageSet(pages);
    int inside = 0;
    for (long first : edges(pages)) {
      for (long count : edges(pages)) {
        if (isInside(first, count, pages)) {
          inside++;
          assertEquals(count, bitmap.clear(first, count));
          assertEquals(pages - count, set(bitmap), () -> "after clear(" + first + ")");
          assertEquals(count, bitmap.markRange(first, count), "the pages cleared, no others");
        } else {
          assertRefused(first, count, bitmap::clear);
          assertRefused(first, count, (f, c) -> bitmap.exchange(f, c, taken));
          assertRefused(first, count, bitmap::markRange);
          assertRefused(first, count, bitmap::markAlways);
          assertTrue(taken.isEmpty());
        }
      }
    }
    assertEquals(pages, set(bitmap));
    assertTrue(inside >= 3, "some ranges are good: " + inside);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 513, 4099, 32_769})
  void bug01_mark_everyEdgeOfAnEmptyBitmap_throwsAndMarksNothing(long pages) {
    DirtyBitmap bitmap = new DirtyBitmap(pages);
    for (long first : edges(pages)) {
      for (long count : edges(pages)) {
        if (!isInside(first, count, pages)) {
          assertRefused(first, count, bitmap::markRange);
          assertRefused(first, count, bitmap::markAlways);
        }
      }
      if (first < 0 || first >= pages) {
        assertRefused(first, 0, (f, c) -> assertFalse(bitmap.mark(f)));
        assertRefused(first, 0, (f, c) -> assertFalse(bitmap.isSet(f)));
        assertRefused(first, 0, (f, c) -> assertFalse(bitmap.isMarked(f)));
      }
    }
    assertEquals(0, set(bitmap));
    bitmap.fetch(false, (word, bits) -> assertEquals(0, bits));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 64, 65, 513, 4099, 32_769})
  void bug01_pageSetRange_everyEdge_throwsAndChangesNothing(long pages) {
    PageSet empty = new PageSet(pages);
    PageSet full = new PageSet(pages);
    full.addAll();
    for (long first : edges(pages)) {
      for (long count : edges(pages)) {
        if (!isInside(first, count, pages)) {
          assertRefused(first, count, empty::addRange);
          assertRefused(first, count, full::removeRange);
          assertRefused(first, count, (f, c) -> full.moveRange(f, c, Long.MAX_VALUE, empty));
          assertRefused(first, count, (f, c) -> full.forEachRun(f, c, (p, n) -> {}));
        }
      }
      if (first < 0 || first >= pages) {
        assertRefused(first, 0, (f, c) -> full.contains(f));
        assertRefused(first, 0, (f, c) -> full.floor(f));
      }
    }
    assertTrue(empty.isEmpty());
    assertEquals(pages, full.size());
  }

  private static void assertRefused(long first, long count, RangeOperation operation) {
    IndexOutOfBoundsException e =
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> operation.apply(first, count),
            () -> "(" + first + ", " + count + ")");
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains(String.valueOf(first)), message);
  }

  private static long set(DirtyBitmap bitmap) {
    PageSet all = new PageSet(bitmap.pageCount());
    bitmap.snapshot(all);
    return all.size();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 4099})
  void bug02_tailClear_slotOfNoMultipleOf64_clearsTheTailOnly(int pages) {
    DirtyBitmap bitmap = new DirtyBitmap(pages);
    bitmap.disarm();
    int tail = (pages - 1) & -64;
    assertEquals(pages - tail, bitmap.clear(tail, pages - tail));
    for (int p = 0; p < pages; p++) {
      assertEquals(p < tail, bitmap.isSet(p), "page " + p);
    }
  }

  @Test
  void bug04_clearOfFivePages_wordOf64Dirty_othersSurvive() {
    DirtyBitmap bitmap = new DirtyBitmap(256);
    bitmap.markRange(0, 256);
    PageSet taken = new PageSet(256);
    assertEquals(5, bitmap.exchange(69, 5, taken));
    assertEquals(251, set(bitmap));
    for (int p = 0; p < 256; p++) {
      assertEquals(p < 69 || p >= 74, bitmap.isSet(p), "page " + p);
      assertEquals(p >= 69 && p < 74, taken.contains(p), "page " + p);
    }
    assertEquals(1L << 3, bitmap.clearWord(0, 1L << 3));
    assertEquals(250, set(bitmap));
  }

  @Test
  void wordOperations_wordOutside_throwAndChangeNothing() {
    DirtyBitmap bitmap = new DirtyBitmap(65);
    bitmap.disarm();
    PageSet set = new PageSet(65);
    set.addAll();
    for (int word : new int[] {-1, 2, 3, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      assertThrows(IndexOutOfBoundsException.class, () -> bitmap.clearWord(word, -1));
      assertThrows(IndexOutOfBoundsException.class, () -> set.add(word, -1));
      assertThrows(IndexOutOfBoundsException.class, () -> set.remove(word, -1));
      assertThrows(IndexOutOfBoundsException.class, () -> set.word(word));
    }
    assertEquals(65, set(bitmap));
    assertEquals(65, set.size());
  }

  @Test
  void construction_pageCountOutside_throws() {
    for (long pages : new long[] {0, -1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 37}) {
      assertThrows(IllegalArgumentException.class, () -> new DirtyBitmap(pages));
      assertThrows(IllegalArgumentException.class, () -> new PageSet(pages));
    }
  }

  @Test
  void pageSetOfOtherSize_exchangeAndSnapshot_throwAndChangeNothing() {
    DirtyBitmap bitmap = new DirtyBitmap(65);
    bitmap.disarm();
    PageSet other = new PageSet(64);
    other.add(0, 1);
    assertThrows(IllegalArgumentException.class, () -> bitmap.exchange(0, 65, other));
    assertThrows(IllegalArgumentException.class, () -> bitmap.snapshot(other));
    assertEquals(65, set(bitmap));
    assertEquals(1, other.size());
  }
}
