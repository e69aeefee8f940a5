package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.BitSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@link LiveBitmap#moveInto}: what is marked goes into every set, and is cleared after that. */
class LiveBitmapMoveTest {
  private static final int PAGES = 3 * 32_768 + 1_000;

  /** Does something at each allocation, which is in the middle of a move. */
  private static final class Arrays extends ArrayFactory {
    Runnable whenAllocated = () -> {};

    @Override
    long[] longs(int length) {
      whenAllocated.run();
      return super.longs(length);
    }

    @Override
    int[] ints(int length) {
      whenAllocated.run();
      return super.ints(length);
    }
  }

  private final LiveBitmap bitmap = new LiveBitmap(PAGES);

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 511, 512, 513, 4099, 32_768, 32_769, 100_000})
  void moveInto_randomMarks_everySetHasThemAndNoBitIsLeft(int pages) {
    Script.run(
        "LiveBitmap.moveInto " + pages,
        script -> {
          LiveBitmap live = new LiveBitmap(pages);
          PageSet one = new PageSet(pages);
          PageSet two = new PageSet(pages);
          BitSet model = new BitSet();
          BitSet modelTwo = new BitSet();
          for (int round = 0; round < 60; round++) {
            BitSet marked = new BitSet();
            for (int i = script.random.nextInt(20); i > 0; i--) {
              long first = script.page(pages);
              long count = script.random.nextBoolean() ? 1 : script.count(pages - first);
              count = Math.min(count, pages - first);
              script.step("mark(" + first + ", " + count + ")");
              live.markRange(first, count);
              marked.set((int) first, (int) (first + count));
            }
            script.step("moveInto");
            assertEquals(!marked.isEmpty(), live.moveInto(script.random.nextBoolean(), one, two));
            PageSetModelTest.assertSame(new BitSet(), Bits.of(live));
            model.or(marked);
            modelTwo.or(marked);
            PageSetModelTest.assertSame(model, one);
            PageSetModelTest.assertSame(modelTwo, two);
            if (script.random.nextInt(3) == 0) {
              script.step("clear one, and take from the other");
              one.clear();
              model.clear();
              long first = script.page(pages);
              long count = script.count(pages - first);
              two.removeRange(first, count);
              modelTwo.clear((int) first, (int) (first + count));
            }
          }
        });
  }

  @Test
  void moveInto_anAllocationFails_noPageIsClearedThatIsNotInEverySet() {
    int failures = 0;
    boolean done = false;
    for (int failing = 1; !done; failing++) {
      LiveBitmap live = new LiveBitmap(PAGES);
      Arrays arrays = new Arrays();
      PageSet one = new PageSet(PAGES, arrays);
      PageSet two = new PageSet(PAGES, arrays);
      BitSet marked = new BitSet();
      for (int page = 0; page < PAGES; page += page < 32_768 ? 1_021 : 61) {
        Bits.mark(live, page);
        marked.set(page);
      }
      int[] left = {failing};
      arrays.whenAllocated =
          () -> {
            if (--left[0] == 0) {
              throw new OutOfMemoryError("injected");
            }
          };
      try {
        live.moveInto(true, one, two);
        done = true;
      } catch (OutOfMemoryError e) {
        failures++;
        PageSet rest = Bits.of(live);
        for (int page = marked.nextSetBit(0); page >= 0; page = marked.nextSetBit(page + 1)) {
          boolean inBoth = Bits.contains(one, page) && Bits.contains(two, page);
          assertTrue(inBoth || Bits.contains(rest, page), "lost: page " + page);
        }
        live.moveInto(false, one, two);
      }
      PageSetModelTest.assertSame(new BitSet(), Bits.of(live));
      PageSetModelTest.assertSame(marked, one);
      PageSetModelTest.assertSame(marked, two);
    }
    assertTrue(failures > 4, "only so many allocations have failed: " + failures);
  }

  @Test
  void moveInto_wordIsMarkedBetweenItsReadAndItsClear_theMarkStaysAndComesNext() {
    Arrays arrays = new Arrays();
    PageSet set = new PageSet(PAGES, arrays);
    for (int word = 0; word < 17; word++) { // one more than a list has room for at first
      Bits.mark(bitmap, 64L * word);
    }
    arrays.whenAllocated = () -> Bits.mark(bitmap, 64 * 16 + 5);
    bitmap.moveInto(true, set);
    assertEquals(17, set.size());
    assertFalse(bitmap.isMarked(64 * 16));
    assertTrue(bitmap.isMarked(64 * 16 + 5));
    assertTrue(bitmap.moveInto(true, set));
    assertTrue(Bits.contains(set, 64 * 16 + 5));
    assertEquals(18, set.size());
  }

  @Test
  void moveInto_pageWasFetchedBefore_comesAgainAndIsCleared() {
    Bits.mark(bitmap, 40_000);
    bitmap.fetch(false, (word, bits) -> {});
    PageSet set = new PageSet(PAGES);
    assertTrue(bitmap.moveInto(true, set), "a suspect is read once more");
    assertTrue(Bits.contains(set, 40_000));
    assertFalse(bitmap.isMarked(40_000));
    assertFalse(bitmap.moveInto(true, set));
  }

  @Test
  void moveInto_noSet_clears() {
    Bits.mark(bitmap, 7);
    assertTrue(bitmap.moveInto(true));
    assertFalse(bitmap.isMarked(7));
  }

  @Test
  void moveInto_setOfAnotherPageCount_throwsAndChangesNothing() {
    Bits.mark(bitmap, 7);
    PageSet right = new PageSet(PAGES);
    PageSet wrong = new PageSet(PAGES - 1);
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> bitmap.moveInto(false, right, wrong));
    assertTrue(String.valueOf(e.getMessage()).contains(String.valueOf(PAGES)), e.getMessage());
    assertTrue(right.isEmpty());
    assertTrue(bitmap.isMarked(7));
    assertTrue(bitmap.moveInto(false, right));
    assertTrue(Bits.contains(right, 7));
  }
}
