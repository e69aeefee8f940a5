package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Page sets whose n-th allocation fails, for every n that an operation has, against {@link BitSet}:
 * no page is lost, the size is right, and the sets can be used as before.
 */
class PageSetFaultTest {
  private static final int PAGES = 4 * 32_768 + 1_000;
  private static final int WORDS = (PAGES + 63) / 64;

  /** Throws at one allocation, counted from {@link #failAt}. */
  private static final class FailingArrays extends ArrayFactory {
    private int untilFailure = Integer.MAX_VALUE;

    void failAt(int allocation) {
      untilFailure = allocation;
    }

    void failNever() {
      untilFailure = Integer.MAX_VALUE;
    }

    private void count() {
      untilFailure--;
      if (untilFailure == 0) {
        throw new OutOfMemoryError("injected");
      }
    }

    @Override
    long[] longs(int length) {
      count();
      return super.longs(length);
    }

    @Override
    int[] ints(int length) {
      count();
      return super.ints(length);
    }
  }

  enum Kind {
    ADD,
    APPEND_MANY,
    REMOVE,
    ADD_RANGE,
    REMOVE_RANGE,
    ADD_ALL,
    ADD_OTHER,
    REMOVE_OTHER,
    CLEAR,
    MOVE
  }

  /**
   * One operation on a pair of sets, the same on their models; {@code back} if the two change
   * places.
   */
  private record Step(Kind kind, boolean back, int first, int count, long bits, long limit) {
    static Step random(Script script) {
      Kind[] kinds = Kind.values();
      return random(script, kinds[script.random.nextInt(kinds.length)]);
    }

    static Step random(Script script, Kind kind) {
      int first = (int) script.page(PAGES - 1);
      int count = (int) script.count(PAGES - first);
      if (kind == Kind.MOVE && script.random.nextBoolean()) {
        first = 0;
        count = PAGES;
      }
      long limit = script.random.nextInt(4) == 0 ? script.count(PAGES) : Long.MAX_VALUE;
      boolean back = script.random.nextBoolean();
      return new Step(kind, back, first, count, script.random.nextLong(), limit);
    }

    int word() {
      return first / 64;
    }

    void apply(PageSet one, PageSet two) {
      PageSet set = back ? two : one;
      PageSet other = back ? one : two;
      switch (kind) {
        case ADD -> set.add(word(), bits);
        case APPEND_MANY -> {
          for (int w = word(); w < WORDS; w += 16) {
            set.add(w, 1);
          }
        }
        case REMOVE -> set.remove(word(), bits);
        case ADD_RANGE -> set.addRange(first, count);
        case REMOVE_RANGE -> set.removeRange(first, count);
        case ADD_ALL -> set.addAll();
        case ADD_OTHER -> set.addAll(other);
        case REMOVE_OTHER -> set.removeAll(other);
        case CLEAR -> set.clear();
        case MOVE -> set.moveRange(first, count, limit, other);
      }
    }

    void apply(BitSet one, BitSet two) {
      BitSet set = back ? two : one;
      BitSet other = back ? one : two;
      switch (kind) {
        case ADD -> PageSetModelTest.or(set, word(), bits & insideMask(word()));
        case APPEND_MANY -> {
          for (int w = word(); w < WORDS; w += 16) {
            set.set(64 * w);
          }
        }
        case REMOVE -> PageSetModelTest.andNot(set, word(), bits);
        case ADD_RANGE -> set.set(first, first + count);
        case REMOVE_RANGE -> set.clear(first, first + count);
        case ADD_ALL -> set.set(0, PAGES);
        case ADD_OTHER -> set.or(other);
        case REMOVE_OTHER -> set.andNot(other);
        case CLEAR -> set.clear();
        case MOVE -> {
          long left = limit;
          for (int p = set.nextSetBit(first);
              p >= 0 && p < first + count && left > 0;
              p = set.nextSetBit(p + 1), left--) {
            set.clear(p);
            other.set(p);
          }
        }
      }
    }

    private static long insideMask(int word) {
      return 64 * word + 64 <= PAGES ? -1L : (1L << PAGES % 64) - 1;
    }
  }

  /** Two sets with their models. */
  private static final class Pair {
    final FailingArrays arrays = new FailingArrays();
    final PageSet set = new PageSet(PAGES, arrays);
    final PageSet other = new PageSet(PAGES, arrays);
    final BitSet model = new BitSet();
    final BitSet otherModel = new BitSet();

    Pair(List<Step> history) {
      history.forEach(this::apply);
    }

    void apply(Step step) {
      step.apply(set, other);
      step.apply(model, otherModel);
    }

    /** Returns whether the step was cut short. */
    boolean applyFailing(Step step, int allocation) {
      arrays.failAt(allocation);
      try {
        step.apply(set, other);
        return false;
      } catch (OutOfMemoryError e) {
        return true;
      } finally {
        arrays.failNever();
      }
    }

    void check() {
      PageSetModelTest.assertSame(model, set);
      PageSetModelTest.assertSame(otherModel, other);
    }

    /** After a step that was cut short: takes over as the models what the sets hold. */
    void checkCutShort(Step step) {
      BitSet after = copy(model);
      BitSet otherAfter = copy(otherModel);
      step.apply(after, otherAfter);
      BitSet actual = pages(set);
      BitSet otherActual = pages(other);
      PageSetModelTest.assertSame(actual, set);
      PageSetModelTest.assertSame(otherActual, other);
      assertBetween(model, actual, after);
      assertBetween(otherModel, otherActual, otherAfter);
      BitSet lost = copy(model);
      lost.or(otherModel);
      BitSet inEither = copy(after);
      inEither.or(otherAfter);
      lost.and(inEither);
      lost.andNot(actual);
      lost.andNot(otherActual);
      assertEquals(-1, lost.nextSetBit(0), "first page that is in neither set");
      overwrite(model, actual);
      overwrite(otherModel, otherActual);
    }
  }

  private static BitSet copy(BitSet bits) {
    return (BitSet) bits.clone();
  }

  private static void overwrite(BitSet to, BitSet from) {
    to.clear();
    to.or(from);
  }

  private static BitSet pages(PageSet set) {
    BitSet pages = new BitSet();
    for (int w = 0; w < WORDS; w++) {
      PageSetModelTest.or(pages, w, set.word(w));
    }
    return pages;
  }

  /** Pages that stay are there, and no page is there that was not there and does not come. */
  private static void assertBetween(BitSet before, BitSet actual, BitSet after) {
    BitSet stay = copy(before);
    stay.and(after);
    stay.andNot(actual);
    assertEquals(-1, stay.nextSetBit(0), "first page that is lost");
    BitSet strange = copy(actual);
    strange.andNot(before);
    strange.andNot(after);
    assertEquals(-1, strange.nextSetBit(0), "first page that was neither there nor added");
  }

  /**
   * Fails each allocation of a step in turn, each time with new sets, and then repeats the step or
   * goes on without it. Returns how many allocations failed.
   */
  private static int failEach(Script script, List<Step> history, Step step) {
    for (int allocation = 1; ; allocation++) {
      Pair pair = new Pair(history);
      script.step(step + " with allocation " + allocation + " failing, after " + history);
      if (!pair.applyFailing(step, allocation)) {
        step.apply(pair.model, pair.otherModel);
        pair.check();
        return allocation - 1;
      }
      pair.checkCutShort(step);
      if (script.random.nextBoolean()) {
        script.step("again");
        pair.apply(step);
        pair.check();
      }
      for (int i = 0; i < 8; i++) {
        Step next = Step.random(script);
        script.step("then " + next);
        pair.apply(next);
        pair.check();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void operation_eachAllocationFails_losesNoPageAndCanBeRepeated(Kind kind) {
    Script.run(
        "PageSet out of memory " + kind,
        script -> {
          int failures = 0;
          int enough = kind == Kind.CLEAR ? 0 : 20;
          for (int i = 0; i < 50 || (failures < enough && i < 2_000); i++) {
            List<Step> history = new ArrayList<>();
            for (int j = script.random.nextInt(8); j > 0; j--) {
              history.add(Step.random(script));
            }
            failures += failEach(script, history, Step.random(script, kind));
          }
          assertTrue(failures >= enough, "only so many allocations have failed: " + failures);
        });
  }

  @Test
  void everyOperation_allocationsFailAtRandomInOnePair_losesNoPage() {
    Script.run(
        "PageSet short of memory",
        script -> {
          Pair pair = new Pair(List.of());
          for (int i = 0; i < 2_000; i++) {
            if (i % 50 == 0) {
              script.step("new sets, without memory to reuse");
              pair = new Pair(List.of());
            }
            Step step = Step.random(script);
            script.step(step.toString());
            if (pair.applyFailing(step, 1 + script.random.nextInt(6))) {
              pair.checkCutShort(step);
            } else {
              step.apply(pair.model, pair.otherModel);
              pair.check();
            }
          }
        });
  }

  @Test
  void add_secondArrayOfALongerListFails_nextAddSucceeds() {
    FailingArrays arrays = new FailingArrays();
    PageSet set = new PageSet(PAGES, arrays);
    for (int w = 0; w < 16; w++) {
      set.add(w, 1);
    }
    arrays.failAt(2);
    assertThrows(OutOfMemoryError.class, () -> set.add(16, 1), "the list has two arrays");
    assertEquals(16, set.size());
    assertEquals(1, set.add(16, 1));
    assertEquals(17, set.size());
    assertTrue(Bits.contains(set, 16 * 64));
  }

  @Test
  void moveRange_denseChunkIntoAListThatCannotBecomeChunks_movesNothing() {
    FailingArrays arrays = new FailingArrays();
    PageSet from = new PageSet(PAGES, arrays);
    PageSet into = new PageSet(PAGES, arrays);
    from.addAll(); // so that it is kept as chunks
    from.removeRange(32_768, PAGES - 32_768);
    into.add(1_000, 1);
    arrays.failAt(1);
    assertThrows(OutOfMemoryError.class, () -> from.moveRange(0, PAGES, Long.MAX_VALUE, into));
    assertEquals(32_768, from.size());
    assertEquals(1, into.size());
    assertTrue(Bits.contains(into, 64_000));
    assertEquals(32_768, from.moveRange(0, PAGES, Long.MAX_VALUE, into));
    assertEquals(32_769, into.size());
    assertTrue(from.isEmpty());
  }

  @Test
  void clear_ofEveryForm_allocatesNothing() {
    for (boolean full : new boolean[] {false, true}) {
      FailingArrays arrays = new FailingArrays();
      PageSet set = new PageSet(PAGES, arrays);
      set.addRange(70, 1_000);
      if (full) {
        set.addAll();
        set.remove(3, 1);
      }
      assertFalse(set.isEmpty());
      arrays.failAt(1);
      set.clear();
      assertTrue(set.isEmpty());
    }
  }
}
