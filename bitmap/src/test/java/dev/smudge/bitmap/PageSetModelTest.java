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
import org.junit.jupiter.params.provider.ValueSource;

/** {@link PageSet} against {@link BitSet}. */
class PageSetModelTest {
  private static final int STEPS = 1_500;

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 511, 512, 513, 4099, 32_768, 32_769, 100_000})
  void everyOperation_randomScript_equalsBitSet(int pages) {
    Script.run("PageSet " + pages, script -> new Pair(pages, script).run());
  }

  /** Two sets, so that pages can move between them, each with its model. */
  private static final class Pair {
    final int pages;
    final Script script;
    PageSet set;
    BitSet model = new BitSet();
    PageSet other;
    BitSet otherModel = new BitSet();

    Pair(int pages, Script script) {
      this.pages = pages;
      this.script = script;
      this.set = new PageSet(pages);
      this.other = new PageSet(pages);
    }

    void run() {
      for (int i = 0; i < STEPS; i++) {
        step();
        assertSame(model, set);
        assertSame(otherModel, other);
        if (script.random.nextInt(3) == 0) {
          swap();
        }
      }
    }

    void swap() {
      PageSet s = set;
      set = other;
      other = s;
      BitSet m = model;
      model = otherModel;
      otherModel = m;
    }

    void step() {
      long first = script.page(pages);
      long count = script.count(pages - first);
      int from = (int) first;
      int to = (int) (first + count);
      int word = script.random.nextInt((pages + 63) / 64);
      long bits = script.random.nextLong() & -1L << script.random.nextInt(64);
      int op = script.random.nextInt(27);
      String range = "(" + first + ", " + count + ")";
      switch (op) {
        case 0, 1, 2, 3 -> {
          script.step("addRange" + range);
          long expected = count - model.get(from, to).cardinality();
          model.set(from, to);
          assertEquals(expected, set.addRange(first, count));
        }
        case 4, 5 -> {
          script.step("removeRange" + range);
          long expected = model.get(from, to).cardinality();
          model.clear(from, to);
          assertEquals(expected, set.removeRange(first, count));
        }
        case 6, 7 -> {
          script.step("add(" + word + ", " + bits + ")");
          long inside = bits & inside(word);
          long expected = inside & ~wordOf(model, word);
          or(model, word, inside);
          assertEquals(expected, set.add(word, bits));
        }
        case 8, 9 -> {
          script.step("remove(" + word + ", " + bits + ")");
          long expected = bits & wordOf(model, word);
          andNot(model, word, bits);
          assertEquals(expected, set.remove(word, bits));
        }
        case 10, 11, 12, 13, 14, 15 -> {
          boolean nowhere = op == 10;
          long limit = script.random.nextBoolean() ? Long.MAX_VALUE : script.count(pages);
          script.step("moveRange" + range + " limit " + limit + (nowhere ? " to null" : ""));
          long moved = 0;
          for (int p = model.nextSetBit(from);
              p >= 0 && p < to && moved < limit;
              p = model.nextSetBit(p + 1)) {
            model.clear(p);
            if (!nowhere) {
              otherModel.set(p);
            }
            moved++;
          }
          assertEquals(moved, set.moveRange(first, count, limit, nowhere ? null : other));
        }
        case 16 -> {
          script.step("addAll()");
          model.set(0, pages);
          set.addAll();
        }
        case 17 -> {
          script.step("addAll(other)");
          model.or(otherModel);
          set.addAll(other);
        }
        case 18 -> {
          script.step("clear()");
          model.clear();
          set.clear();
        }
        case 24, 25 -> {
          boolean self = script.random.nextInt(8) == 0;
          script.step(self ? "removeAll(this)" : "removeAll(other)");
          model.andNot(self ? (BitSet) model.clone() : otherModel);
          set.removeAll(self ? set : other);
        }
        case 19 -> floor(Math.min(first, pages - 1));
        case 20 -> runs(first, count);
        case 21 -> removeRunsWhileWalking(first, count);
        case 22 -> removeWordsWhileWalking();
        default -> {
          script.step("contains(" + Math.min(first, pages - 1) + ")");
          int page = (int) Math.min(first, pages - 1);
          assertEquals(model.get(page), Bits.contains(set, page));
        }
      }
    }

    void floor(long page) {
      script.step("floor(" + page + ")");
      assertEquals(model.previousSetBit((int) page), set.floor(page));
    }

    void runs(long first, long count) {
      script.step("forEachRun(" + first + ", " + count + ")");
      List<Long> actual = new ArrayList<>();
      set.forEachRun(
          first,
          count,
          (at, length) -> {
            actual.add(at);
            actual.add(length);
          });
      assertTrue(runsOf(model, (int) first, (int) (first + count)).equals(actual), "runs");
    }

    void removeRunsWhileWalking(long first, long count) {
      script.step("remove runs in forEachRun(" + first + ", " + count + ")");
      List<Long> expected = runsOf(model, (int) first, (int) (first + count));
      List<Long> actual = new ArrayList<>();
      boolean earlierOnes = script.random.nextBoolean();
      set.forEachRun(
          first,
          count,
          (at, length) -> {
            actual.add(at);
            actual.add(length);
            if (earlierOnes) {
              set.removeRange(0, at + length);
              model.clear(0, (int) (at + length));
            } else {
              set.removeRange(at, length);
              model.clear((int) at, (int) (at + length));
            }
          });
      assertTrue(expected.equals(actual), "runs");
    }

    void removeWordsWhileWalking() {
      script.step("remove words in forEachWord");
      BitSet seen = new BitSet();
      set.forEachWord((word, bits) -> {
        or(seen, word, bits);
        set.remove(word, bits);
        if (word > 0) {
          set.remove(word - 1, -1L);
        }
      });
      assertSamePages(model, seen, "seen");
      model.clear();
    }

    long inside(int word) {
      long left = pages - 64L * word;
      return left >= 64 ? -1L : (1L << left) - 1;
    }
  }

  static List<Long> runsOf(BitSet model, int from, int to) {
    List<Long> runs = new ArrayList<>();
    int at = model.nextSetBit(from);
    while (at >= 0 && at < to) {
      int past = Math.min(to, model.nextClearBit(at));
      runs.add((long) at);
      runs.add((long) past - at);
      at = model.nextSetBit(past);
    }
    return runs;
  }

  static long wordOf(BitSet model, int word) {
    long[] bits = model.get(64 * word, 64 * word + 64).toLongArray();
    return bits.length == 0 ? 0 : bits[0];
  }

  static void or(BitSet model, int word, long bits) {
    for (long rest = bits; rest != 0; rest &= rest - 1) {
      model.set(64 * word + Long.numberOfTrailingZeros(rest));
    }
  }

  static void andNot(BitSet model, int word, long bits) {
    for (long rest = bits; rest != 0; rest &= rest - 1) {
      model.clear(64 * word + Long.numberOfTrailingZeros(rest));
    }
  }

  static void assertSamePages(BitSet expected, BitSet actual, String what) {
    BitSet different = (BitSet) expected.clone();
    different.xor(actual);
    assertEquals(-1, different.nextSetBit(0), what + ": first page that differs");
  }

  /** The same pages by every way to look at them. */
  static void assertSame(BitSet model, PageSet set) {
    assertEquals(model.cardinality(), set.size(), "size");
    assertEquals(model.isEmpty(), set.isEmpty(), "isEmpty");
    BitSet walked = new BitSet();
    set.forEachWord((word, bits) -> or(walked, word, bits));
    assertSamePages(model, walked, "forEachWord");
    BitSet runs = new BitSet();
    set.forEachRun((first, count) -> runs.set((int) first, (int) (first + count)));
    assertSamePages(model, runs, "forEachRun");
    long words = (set.pageCount() + 63) / 64;
    long[] expected = model.toLongArray();
    for (int w = 0; w < words; w++) {
      if ((w < expected.length ? expected[w] : 0) != set.word(w)) {
        assertEquals(w < expected.length ? expected[w] : 0, set.word(w), "word " + w);
      }
    }
  }

  @Test
  void moveRange_denseChunkIntoEmptyOne_leavesNothingBehindInEither() {
    PageSet from = new PageSet(100_000);
    PageSet into = new PageSet(100_000);
    from.addAll();
    from.remove(3, 1L << 9);
    into.addRange(40_000, 1); // its chunk is not empty: page by page
    assertEquals(99_998, from.moveRange(0, 100_000, Long.MAX_VALUE, into) - 1);
    assertTrue(from.isEmpty());
    assertEquals(99_999, into.size());
    assertFalse(Bits.contains(into, 3 * 64 + 9));
    from.addRange(0, 5);
    into.removeRange(0, 100_000);
    assertEquals(5, from.size());
    assertTrue(Bits.contains(from, 4));
    assertFalse(Bits.contains(into, 4));
  }

  @Test
  void moveRange_denseChunkIntoSetKeptAsList_bothKeepTheirPages() {
    PageSet from = new PageSet(32_768);
    PageSet into = new PageSet(32_768);
    from.addAll();
    from.removeRange(3, 1);
    into.addRange(3, 1); // one page: a list
    assertEquals(32_767, from.moveRange(0, 32_768, Long.MAX_VALUE, into));
    assertTrue(Bits.contains(into, 3));
    assertEquals(32_768, into.size());
    assertTrue(from.isEmpty());
    assertFalse(Bits.contains(from, 3));
  }

  @Test
  void addAll_pagesRemovedLater_otherFullSetsKeepTheirs() {
    PageSet one = new PageSet(65_536);
    PageSet two = new PageSet(65_536);
    one.addAll();
    two.addAll();
    one.remove(0, 1);
    one.removeRange(32_768, 10);
    assertEquals(65_525, one.size());
    assertTrue(Bits.contains(two, 0));
    assertTrue(Bits.contains(two, 32_768));
    PageSet three = new PageSet(65_536);
    three.addAll();
    assertTrue(Bits.contains(three, 0));
    assertEquals(65_536, three.removeRange(0, 65_536));
  }

  @Test
  void moveRange_intoTheSetItself_throwsAndChangesNothing() {
    PageSet set = new PageSet(100_000);
    set.addRange(10, 5);
    for (int i = 0; i < 2; i++) {
      long size = set.size();
      assertThrows(
          IllegalArgumentException.class, () -> set.moveRange(0, 100_000, Long.MAX_VALUE, set));
      assertEquals(size, set.size());
      set.addAll(); // the second time, over chunks
    }
  }

  @Test
  void addAll_otherOfOtherSize_throwsAndChangesNothing() {
    PageSet set = new PageSet(64);
    PageSet other = new PageSet(65);
    other.addAll();
    assertThrows(IllegalArgumentException.class, () -> set.addAll(other));
    assertThrows(IllegalArgumentException.class, () -> other.removeAll(set));
    assertThrows(IllegalArgumentException.class, () -> other.moveRange(0, 65, Long.MAX_VALUE, set));
    assertThrows(IllegalArgumentException.class, () -> other.moveRange(0, 65, -1, null));
    assertTrue(set.isEmpty());
    assertEquals(65, other.size());
  }
}
