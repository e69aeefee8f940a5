package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.BitSet;
import org.junit.jupiter.api.Test;

/** Errors in the middle of a mark or a drain: no mark stays where no drain finds it. */
class HostBitmapErrorTest {
  private static final VarHandle WORDS;
  private static final VarHandle CUT_SHORT;
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

  static {
    try {
      MethodHandles.Lookup lookup =
          MethodHandles.privateLookupIn(HostBitmap.class, MethodHandles.lookup());
      WORDS = lookup.findVarHandle(HostBitmap.class, "words", long[].class);
      CUT_SHORT = lookup.findVarHandle(HostBitmap.class, "cutShort", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private static BitSet drain(HostBitmap bitmap) {
    BitSet found = new BitSet();
    bitmap.drain((word, bits) -> PageSetModelTest.or(found, word, bits));
    return found;
  }

  private static BitSet pages(int... pages) {
    BitSet set = new BitSet();
    for (int page : pages) {
      set.set(page);
    }
    return set;
  }

  /** A mark that was cut short between its word and its summary bit, and has said so. */
  @Test
  void drain_markWasCutShort_findsItOnceWherever() {
    for (int page : new int[] {0, 63, 40_000, 99_999}) {
      HostBitmap bitmap = new HostBitmap(100_000);
      bitmap.markAlways(70, 1);
      WORD.getAndBitwiseOr((long[]) WORDS.get(bitmap), page >>> 6, 1L << page);
      CUT_SHORT.setVolatile(bitmap, true);
      assertEquals(pages(70, page), drain(bitmap));
      assertEquals(pages(), drain(bitmap));
      bitmap.markAlways(page, 1);
      assertEquals(pages(page), drain(bitmap));
    }
  }

  @Test
  void drain_sinkThrowsForEveryOtherWord_nextDrainsHandOutEveryMark() {
    HostBitmap bitmap = new HostBitmap(100_000);
    for (int page = 0; page < 100_000; page += 500) {
      bitmap.markAlways(page, 1);
    }
    BitSet found = new BitSet();
    for (int drains = 0; drains < 100; drains++) {
      int[] left = {2};
      assertThrows(
          ArithmeticException.class,
          () ->
              bitmap.drain((word, bits) -> {
                if (--left[0] == 0) {
                  throw new ArithmeticException("sink");
                }
                PageSetModelTest.or(found, word, bits);
              }));
    }
    found.or(drain(bitmap));
    assertEquals(200, found.cardinality());
    assertEquals(pages(), drain(bitmap));
  }
}
