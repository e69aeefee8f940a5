package dev.smudge.sync.internal.collect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.bitmap.ArmableBitmap;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Marks of devices where there is no memory for their bitmap. */
class LazyHostMarksTest {
  private static final long BYTES = ArmableBitmap.MAX_PAGES / 8;

  @Test
  void mark_noMemoryForTheBitmap_everyPageIsMarked() {
    Assumptions.assumeTrue(Runtime.getRuntime().maxMemory() < BYTES, "there is memory for it");
    LazyHostMarks marks = new LazyHostMarks(ArmableBitmap.MAX_PAGES);
    assertEquals(0, marks.mark(5, 1), "as many as were counted");
    for (int drains = 0; drains < 3; drains++) { // the last word is far away
      List<Integer> words = new ArrayList<>();
      assertThrows(
          ArithmeticException.class,
          () ->
              marks.drain((word, bits) -> {
                assertEquals(-1L, bits);
                words.add(word);
                if (words.size() == 3) {
                  throw new ArithmeticException("sink");
                }
              }));
      assertEquals(List.of(0, 1, 2), words, "also after a drain that was cut short");
    }
  }
}
