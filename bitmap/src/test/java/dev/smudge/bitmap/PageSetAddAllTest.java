package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.testbase.Script;
import java.util.BitSet;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** {@link PageSet#addAll(PageSet)} of sets that are kept as lists, against {@link BitSet}. */
class PageSetAddAllTest {
  private static final int MOST = WordList.MAX_LENGTH;
  private static final int WORDS = 2 * MOST;

  /** So many words in ascending order, so that the set is a list. */
  private static void fill(Script script, PageSet set, BitSet model, int words, int range) {
    TreeSet<Integer> indexes = new TreeSet<>();
    while (indexes.size() < words) {
      indexes.add(script.random.nextInt(range));
    }
    for (int word : indexes) {
      long bits = script.random.nextLong() | 1;
      set.add(word, bits);
      PageSetModelTest.or(model, word, bits);
    }
  }

  /** Words whose bits are all gone stay in the list, or the first or last one goes. */
  private static void removeSome(Script script, PageSet set, BitSet model, int range, int words) {
    for (int i = script.random.nextInt(4); i > 0; i--) {
      int from = 64 * script.random.nextInt(range);
      int count = Math.min(64 * words - from, 64 * (1 + script.random.nextInt(5)));
      set.removeRange(from, count);
      model.clear(from, from + count);
    }
  }

  private static void merge(Script script, int mine, int others, int range, int words) {
    script.step("merge " + mine + " and " + others + " of " + range);
    PageSet set = new PageSet(64L * words);
    PageSet other = new PageSet(64L * words);
    BitSet model = new BitSet();
    BitSet otherModel = new BitSet();
    fill(script, set, model, mine, range);
    fill(script, other, otherModel, others, range);
    removeSome(script, set, model, range, words);
    removeSome(script, other, otherModel, range, words);
    set.addAll(other);
    model.or(otherModel);
    PageSetModelTest.assertSame(model, set);
    PageSetModelTest.assertSame(otherModel, other);
    // What a list does next: appended, searched, taken from, walked, merged again.
    set.add(words - 1, 1L << 63);
    model.set(64 * words - 1);
    for (int i = 0; i < 5; i++) {
      int word = script.random.nextInt(range);
      assertEquals(PageSetModelTest.wordOf(model, word), set.word(word));
      assertEquals(model.previousSetBit(64 * word), set.floor(64L * word));
    }
    set.removeAll(other);
    model.andNot(otherModel);
    PageSetModelTest.assertSame(model, set);
    other.addAll(set);
    otherModel.or(model);
    PageSetModelTest.assertSame(otherModel, other);
    PageSet into = new PageSet(64L * words);
    assertEquals(otherModel.cardinality(), other.moveRange(0, 64L * words, Long.MAX_VALUE, into));
    PageSetModelTest.assertSame(otherModel, into);
    PageSetModelTest.assertSame(new BitSet(), other);
  }

  @Test
  void addAll_smallLists_equalsBitSet() {
    Script.run(
        "PageSet.addAll small",
        script -> {
          for (int i = 0; i < 300; i++) {
            merge(script, script.random.nextInt(40), script.random.nextInt(40), 60, 100);
          }
        });
  }

  @Test
  void addAll_listsAtAndPastTheLongest_equalsBitSet() {
    Script.run(
        "PageSet.addAll long",
        script -> {
          int[][] lengths = {
            {0, MOST},
            {MOST, 0},
            {MOST, 1},
            {1, MOST},
            {MOST, MOST},
            {MOST + 1, 1},
            {1, MOST + 1},
            {MOST / 2, MOST / 2},
            {MOST / 2, MOST / 2 + 1},
            {MOST / 2 + 1, MOST / 2},
            {1, MOST - 1},
            {5_000, 3_000},
            {3_000, 5_000},
            {8_000, 1_000},
            {16, 17},
            {0, 0}
          };
          for (int[] pair : lengths) {
            merge(script, pair[0], pair[1], WORDS, WORDS);
          }
        });
  }

  @Test
  void addAll_disjointNeighbouringAndEqualLists_equalsBitSet() {
    PageSet set = new PageSet(64 * 100);
    BitSet model = new BitSet();
    int[][] ranges = {{30, 40}, {0, 10}, {90, 100}, {10, 30}, {0, 100}, {50, 51}, {40, 90}};
    for (int[] range : ranges) {
      PageSet other = new PageSet(64 * 100);
      for (int word = range[0]; word < range[1]; word += 3) {
        other.add(word, 7L << word % 60);
        PageSetModelTest.or(model, word, 7L << word % 60);
      }
      set.addAll(other);
      PageSetModelTest.assertSame(model, set);
      set.addAll(set);
      set.addAll(other);
      PageSetModelTest.assertSame(model, set);
    }
  }
}
