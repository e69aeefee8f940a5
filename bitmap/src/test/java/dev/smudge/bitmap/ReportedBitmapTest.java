package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Mark, and report elsewhere: {@link ReportedBitmap#markWord} and {@link ReportedBitmap#report}.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ReportedBitmapTest {
  private static final int STEPS = 2_000;
  private static final int WORDS = 100;
  private static final int MARKERS = 2;
  private static final int MARKS = 500_000;
  private static final int ROUNDS = 100_000;

  private static long inside(int word, int pages) {
    long left = pages - 64L * word;
    return left >= 64 ? -1L : (1L << left) - 1;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 511, 512, 513, 4099, 32_768, 32_769, 100_000})
  void markWordAndReport_randomScript_equalsBitSet(int pages) {
    Script.run(
        "ReportedBitmap reported " + pages,
        script -> {
          ReportedBitmap bitmap = new ReportedBitmap(pages);
          BitSet live = new BitSet();
          BitSet news = new BitSet(); // words that were reported since the last fetchReported
          for (int i = 0; i < STEPS; i++) {
            int word = script.random.nextInt(bitmap.wordCount());
            long bits = script.random.nextLong() & inside(word, pages);
            switch (script.random.nextInt(6)) {
              case 0, 1 -> {
                script.step("markWord(" + word + ", " + bits + ")");
                long before = PageSetModelTest.wordOf(live, word);
                assertEquals(bits & ~before, bitmap.markWord(word, bits));
                PageSetModelTest.or(live, word, bits);
              }
              case 2 -> {
                script.step("report(" + word + ")");
                bitmap.report(word);
                news.set(word);
              }
              case 3 -> {
                script.step("clearWord(" + word + ", " + bits + ")");
                bitmap.clearWord(word, bits);
                PageSetModelTest.andNot(live, word, bits);
              }
              case 4 -> {
                boolean fails = script.random.nextInt(4) == 0;
                script.step("fetchReported, fails " + fails);
                fetch(script, bitmap, live, news, fails);
              }
              default -> {
                PageSetModelTest.assertSame(live, Bits.of(bitmap));
              }
            }
          }
        });
  }

  private static void fetch(
      Script script, ReportedBitmap bitmap, BitSet live, BitSet news, boolean fails) {
    BitSet words = new BitSet();
    int[] left = {fails ? script.random.nextInt(5) : Integer.MAX_VALUE};
    int[] last = {-1};
    int[] failing = {0};
    boolean threw = false;
    try {
      bitmap.fetchReported((word, bits) -> {
        if (left[0] == 0) {
          failing[0] = word;
          throw new ArithmeticException("sink");
        }
        left[0]--;
        assertTrue(word > last[0], "ascending");
        last[0] = word;
        assertEquals(PageSetModelTest.wordOf(live, word), bits, "all set bits of the word");
        words.set(word);
      });
    } catch (ArithmeticException e) {
      threw = true;
    }
    if (threw) {
      // Those before were handed out, or had no bit set then; the rest comes with the next.
      news.clear(0, failing[0]);
      return;
    }
    for (int w = news.nextSetBit(0); w >= 0; w = news.nextSetBit(w + 1)) {
      assertTrue(
          words.get(w) || PageSetModelTest.wordOf(live, w) == 0, "word " + w + " is missing");
    }
    news.clear();
  }

  @Test
  void markWord_badWordOrMask_throwsAndChangesNothing() {
    ReportedBitmap bitmap = new ReportedBitmap(70);
    for (int word : new int[] {-1, 2, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      IndexOutOfBoundsException e =
          assertThrows(IndexOutOfBoundsException.class, () -> bitmap.markWord(word, 1));
      assertTrue(String.valueOf(e.getMessage()).contains(word + " is outside 0 to 1"));
      assertThrows(IndexOutOfBoundsException.class, () -> bitmap.report(word));
    }
    for (long mask : new long[] {1L << 6, -1L, Long.MIN_VALUE, 0x41, -1L << 6}) {
      IndexOutOfBoundsException e =
          assertThrows(IndexOutOfBoundsException.class, () -> bitmap.markWord(1, mask));
      int page = 127 - Long.numberOfLeadingZeros(mask);
      assertTrue(
          String.valueOf(e.getMessage()).contains("page " + page + " is outside 0 to 69"),
          e.getMessage());
    }
    assertEquals(0, bitmap.clear(0, 70));
    bitmap.fetchReported((word, bits) -> assertEquals(0, bits, "nothing was reported"));
    assertEquals(0x3f, bitmap.markWord(1, 0x3f));
    assertEquals(0, bitmap.markWord(1, 0));
  }

  @Test
  void fetchReported_markedAndNotReported_isNotHandedOut() {
    ReportedBitmap bitmap = new ReportedBitmap(100_000);
    bitmap.markWord(700, 5);
    bitmap.fetchReported((word, bits) -> assertEquals(-1, word, "its page is in a ring"));
    bitmap.report(700);
    List<Long> got = new ArrayList<>();
    bitmap.fetchReported((word, bits) -> got.add(bits));
    assertEquals(List.of(5L), got);
    bitmap.fetchReported((word, bits) -> assertEquals(-1, word, "once"));
  }

  @Test
  void fetchReported_sinkThrowsAtEveryWord_nextHandsOutTheRest() {
    List<Integer> words = List.of(0, 7, 8, 511, 512, 700, 1562);
    for (int failing : words) {
      ReportedBitmap bitmap = new ReportedBitmap(100_000);
      words.forEach(w -> {
        assertEquals(1, bitmap.markWord(w, 1));
        bitmap.report(w);
      });
      List<Integer> got = new ArrayList<>();
      for (int attempt = 0; attempt < 3; attempt++) {
        assertThrows(
            ArithmeticException.class,
            () ->
                bitmap.fetchReported((word, bits) -> {
                  if (word == failing) {
                    throw new ArithmeticException("sink");
                  }
                  got.add(word);
                }));
      }
      bitmap.fetchReported((word, bits) -> got.add(word));
      assertTrue(got.containsAll(words), () -> failing + ": " + got);
      bitmap.fetchReported((word, bits) -> assertEquals(-1, word, "once"));
    }
  }

  @Test
  void fetchReported_reportsInsideTheSink_areInThisOrTheNext() {
    ReportedBitmap bitmap = new ReportedBitmap(100_000);
    bitmap.markWord(600, 1);
    bitmap.report(600);
    boolean[] first = {true};
    BitSet words = new BitSet();
    PageWordConsumer sink =
        (word, bits) -> {
          words.set(word);
          if (first[0]) {
            first[0] = false;
            for (int w : new int[] {0, 599, 601, 1562}) {
              bitmap.markWord(w, 1);
              bitmap.report(w);
            }
          }
        };
    bitmap.fetchReported(sink);
    bitmap.fetchReported(sink);
    assertTrue(
        words.get(0) && words.get(599) && words.get(601) && words.get(1562), words::toString);
  }

  /** Every bit that was changed, and reported, is handed out; what is handed out is cleared. */
  @Test
  void report_manyMarkersOneCollector_everyChangeIsClearedOnce() throws Exception {
    ReportedBitmap bitmap = new ReportedBitmap(64 * WORDS);
    AtomicIntegerArray changed = new AtomicIntegerArray(WORDS);
    AtomicIntegerArray cleared = new AtomicIntegerArray(WORDS);
    AtomicBoolean stop = new AtomicBoolean();
    PageWordConsumer clear =
        (word, bits) -> cleared.addAndGet(word, Long.bitCount(bitmap.clearWord(word, bits)));
    FutureTask<Void> collector =
        new FutureTask<>(
            () -> {
              while (!stop.get()) {
                bitmap.fetchReported(clear);
              }
            },
            null);
    new Thread(collector, "collector").start();
    List<FutureTask<Void>> markers = new ArrayList<>();
    for (int m = 0; m < MARKERS; m++) {
      int seed = m;
      FutureTask<Void> marker =
          new FutureTask<>(
              () -> {
                SplittableRandom random = new SplittableRandom(seed);
                for (int i = 0; i < MARKS; i++) {
                  int word = random.nextInt(WORDS);
                  long news = bitmap.markWord(word, random.nextLong());
                  if (news != 0) {
                    changed.addAndGet(word, Long.bitCount(news));
                    bitmap.report(word);
                  }
                }
              },
              null);
      markers.add(marker);
      new Thread(marker, "marker " + m).start();
    }
    for (FutureTask<Void> marker : markers) {
      marker.get();
    }
    stop.set(true);
    collector.get();
    bitmap.fetchReported(clear);
    for (int w = 0; w < WORDS; w++) {
      assertEquals(changed.get(w), cleared.get(w), "word " + w);
    }
  }

  /** A report that has returned is in the next call, whatever calls ran beside it. */
  @Test
  void report_besideCallsThatTakeTheFlag_isFoundByTheNext() throws Exception {
    ReportedBitmap bitmap = new ReportedBitmap(64);
    AtomicInteger started = new AtomicInteger();
    AtomicInteger reported = new AtomicInteger();
    FutureTask<Void> marker =
        new FutureTask<>(
            () -> {
              for (int i = 1; i <= ROUNDS; i++) {
                awaitRound(started, i);
                bitmap.report(0); // so that the flag is taken at any time
                bitmap.markWord(0, 1);
                bitmap.report(0);
                reported.setRelease(i);
              }
            },
            null);
    new Thread(marker, "marker").start();
    for (int i = 1; i <= ROUNDS; i++) {
      boolean[] found = {false};
      PageWordConsumer sink = (word, bits) -> found[0] = true;
      started.setRelease(i);
      while (reported.getAcquire() < i) {
        bitmap.fetchReported(sink);
      }
      bitmap.fetchReported(sink);
      assertTrue(found[0], "round " + i);
      bitmap.clearWord(0, 1);
    }
    marker.get();
  }

  private static void awaitRound(AtomicInteger counter, int round) {
    for (int spins = 0; counter.getAcquire() < round; spins++) {
      if (spins > 5_000) {
        LockSupport.parkNanos(1_000); // the other has no core
      }
    }
  }
}
