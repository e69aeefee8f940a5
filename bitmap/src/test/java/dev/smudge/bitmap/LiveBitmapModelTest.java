package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.BitSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@link LiveBitmap} against {@link BitSet}, on one thread. */
class LiveBitmapModelTest {
  private static final int STEPS = 1_500;

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 511, 512, 513, 4099, 32_768, 32_769, 100_000})
  void testThenMark_randomScript_equalsBitSet(int pages) {
    Script.run("LiveBitmap " + pages, script -> new Fetched(pages, script).run());
  }

  private static final class Fetched {
    final int pages;
    final Script script;
    final LiveBitmap bitmap;
    final BitSet live = new BitSet(); // the bits
    final BitSet news = new BitSet(); // set by a mark since the last fetch, and set still

    Fetched(int pages, Script script) {
      this.pages = pages;
      this.script = script;
      this.bitmap = new LiveBitmap(pages);
    }

    void run() {
      for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 8 == 0) {
          check();
        }
      }
      check();
    }

    void check() {
      PageSetModelTest.assertSame(live, Bits.of(bitmap));
    }

    void step() {
      long first = script.page(pages);
      long count = script.count(pages - first);
      int from = (int) first;
      int to = (int) (first + count);
      String range = "(" + first + ", " + count + ")";
      switch (script.random.nextInt(12)) {
        case 0, 1, 2 -> {
          int page = (int) Math.min(first, pages - 1);
          script.step("mark(" + page + ")");
          assertEquals(!live.get(page), Bits.mark(bitmap, page));
          marked(page, page + 1);
          assertTrue(bitmap.isMarked(page));
          int other = script.random.nextInt(pages);
          assertEquals(live.get(other), bitmap.isMarked(other));
        }
        case 3, 4 -> {
          script.step("markRange" + range);
          assertEquals(count - live.get(from, to).cardinality(), bitmap.markRange(first, count));
          marked(from, to);
        }
        case 5, 6, 7 -> {
          script.step("clear" + range);
          assertEquals(live.get(from, to).cardinality(), bitmap.clear(first, count));
          cleared(from, to);
        }
        case 8 -> {
          int word = script.random.nextInt(bitmap.wordCount());
          long bits = script.random.nextLong();
          script.step("clearWord(" + word + ", " + bits + ")");
          assertEquals(bits & PageSetModelTest.wordOf(live, word), bitmap.clearWord(word, bits));
          PageSetModelTest.andNot(live, word, bits);
          PageSetModelTest.andNot(news, word, bits);
        }
        case 9 -> {
          if (script.random.nextInt(10) == 0) {
            script.step("disarm");
            bitmap.disarm();
            live.set(0, pages);
          }
        }
        default -> fetch(script.random.nextBoolean());
      }
    }

    void marked(int from, int to) {
      BitSet changed = new BitSet();
      changed.set(from, to);
      changed.andNot(live);
      news.or(changed);
      live.set(from, to);
    }

    void cleared(int from, int to) {
      live.clear(from, to);
      news.clear(from, to);
    }

    void fetch(boolean quiesced) {
      script.step("fetch(" + quiesced + ")");
      BitSet fetched = new BitSet();
      int[] last = {-1};
      bitmap.fetch(
          quiesced,
          (word, bits) -> {
            assertTrue(word > last[0], "ascending");
            last[0] = word;
            assertEquals(PageSetModelTest.wordOf(live, word), bits, "all set bits of the word");
            PageSetModelTest.or(fetched, word, bits);
          });
      BitSet missed = new BitSet();
      missed.or(news);
      missed.andNot(fetched);
      assertEquals(-1, missed.nextSetBit(0), "first page that was marked and not fetched");
      news.clear();
    }
  }
}
