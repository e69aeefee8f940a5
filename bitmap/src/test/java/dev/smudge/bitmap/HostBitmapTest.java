package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@link HostBitmap} marks, each drain hands out once. */
class HostBitmapTest {
  private static final int STEPS = 2000;

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 511, 512, 513, 4099, 32_768, 32_769, 100_000})
  void markAlways_randomScript_drainGivesEveryPageOnce(int pages) {
    Script.run(
        "HostBitmap drained " + pages,
        script -> {
          HostBitmap bitmap = new HostBitmap(pages);
          BitSet model = new BitSet();
          for (int i = 0; i < STEPS; i++) {
            if (script.random.nextInt(5) > 0) {
              long first = script.page(pages);
              long count = script.count(pages - first);
              script.step("markAlways(" + first + ", " + count + ")");
              bitmap.markAlways(first, count);
              model.set((int) first, (int) (first + count));
            } else {
              script.step("drain");
              BitSet drained = new BitSet();
              int[] last = {-1};
              bitmap.drain((word, bits) -> {
                assertTrue(word > last[0], "ascending");
                last[0] = word;
                PageSetModelTest.or(drained, word, bits);
              });
              PageSetModelTest.assertSamePages(model, drained, "drained");
              model.clear();
            }
          }
        });
  }

  @Test
  void drain_markInsideTheSink_isInThisOrTheNext() {
    HostBitmap bitmap = new HostBitmap(100_000);
    bitmap.markAlways(0, 600);
    BitSet seen = new BitSet();
    bitmap.drain((word, bits) -> {
      PageSetModelTest.or(seen, word, bits);
      if (word == 1) {
        bitmap.markAlways(0, 1);
      }
    });
    assertEquals(600, seen.cardinality());
    BitSet next = new BitSet();
    bitmap.drain((word, bits) -> PageSetModelTest.or(next, word, bits));
    assertTrue(next.get(0));
    assertEquals(1, next.cardinality());
  }

  @Test
  void drain_sinkThrowsAtEveryWord_nextHandsOutThatWordAndTheRest() {
    List<Integer> words = List.of(0, 7, 8, 511, 512, 700, 1562);
    for (int failing : words) {
      HostBitmap bitmap = new HostBitmap(100_000);
      words.forEach(w -> assertEquals(1, bitmap.markAlways(64L * w, 1)));
      List<Integer> got = new ArrayList<>();
      for (int attempt = 0; attempt < 3; attempt++) {
        assertThrows(
            ArithmeticException.class,
            () ->
                bitmap.drain((word, bits) -> {
                  if (word == failing) {
                    throw new ArithmeticException("sink");
                  }
                  got.add(word);
                }));
      }
      bitmap.drain((word, bits) -> got.add(word));
      assertEquals(words, got.stream().sorted().toList(), "each word once");
      bitmap.drain((word, bits) -> assertEquals(-1, word, "once"));
    }
  }
}
