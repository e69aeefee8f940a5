package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Markers and a collector at once: every mark is handed out. The time limit is for deadlocks. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BitmapConcurrencyTest {
  private static final int PAGES = 2_000;
  private static final int MARKS = 300_000;
  private static final int MARKERS = 2;
  private static final int ROUNDS_SEEN = 200_000;
  private static final int ROUNDS = 300;

  private static List<FutureTask<Void>> start(int threads, Runnable body) {
    List<FutureTask<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      FutureTask<Void> task = new FutureTask<>(body, null);
      tasks.add(task);
      new Thread(task, "marker " + i).start();
    }
    return tasks;
  }

  private static void join(List<FutureTask<Void>> tasks)
      throws ExecutionException, InterruptedException {
    for (FutureTask<Void> task : tasks) {
      task.get();
    }
  }

  private static void await(BooleanSupplier condition) {
    for (int spins = 0; !condition.getAsBoolean(); spins++) {
      Thread.onSpinWait();
      if (spins > 1_000) {
        LockSupport.parkNanos(1_000); // the other has no core
      }
    }
  }

  /**
   * Each change from 0 to 1 counts one; the collector counts one for each bit it clears. Before
   * every other fetch it waits for quiescent states: each marker has completed two more marks.
   */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void markAndClear_manyMarkersOneCollector_everyChangeIsClearedOnce(boolean atOnce)
      throws Exception {
    LiveBitmap bitmap = new LiveBitmap(PAGES);
    AtomicIntegerArray changed = new AtomicIntegerArray(PAGES);
    AtomicIntegerArray taken = new AtomicIntegerArray(PAGES);
    AtomicLongArray completed = new AtomicLongArray(MARKERS);
    AtomicInteger nextMarker = new AtomicInteger();
    AtomicBoolean stop = new AtomicBoolean();
    List<FutureTask<Void>> markers =
        start(
            MARKERS,
            () -> {
              int marker = nextMarker.getAndIncrement();
              SplittableRandom random = new SplittableRandom(marker);
              for (long i = 1; !stop.get(); i++) {
                int page = random.nextInt(PAGES);
                if (Bits.mark(bitmap, page)) {
                  changed.incrementAndGet(page);
                }
                completed.setRelease(marker, i);
              }
            });
    for (int round = 0; round < ROUNDS; round++) {
      boolean quiesced = round % 2 == 1;
      for (int m = 0; quiesced && m < MARKERS; m++) {
        long before = completed.getAcquire(m);
        int marker = m;
        await(() -> completed.getAcquire(marker) >= before + 2);
      }
      fetch(atOnce, quiesced, bitmap, taken);
    }
    stop.set(true);
    join(markers);
    // The markers have ended, which is more than a quiescent state.
    fetch(atOnce, true, bitmap, taken);
    for (int p = 0; p < PAGES; p++) {
      assertEquals(changed.get(p), taken.get(p), "page " + p);
    }
  }

  private static void fetch(
      boolean atOnce, boolean quiesced, LiveBitmap bitmap, AtomicIntegerArray taken) {
    if (!atOnce) {
      bitmap.fetch(quiesced, (word, bits) -> take(bitmap, taken, word, bits));
      return;
    }
    PageSet pages = new PageSet(PAGES);
    bitmap.moveInto(quiesced, pages);
    pages.forEachRun((first, count) -> {
      for (long page = first; page < first + count; page++) {
        taken.incrementAndGet((int) page);
      }
    });
  }

  private static void take(LiveBitmap bitmap, AtomicIntegerArray taken, int word, long bits) {
    for (long gone = bitmap.clearWord(word, bits); gone != 0; gone &= gone - 1) {
      taken.incrementAndGet(64 * word + Long.numberOfTrailingZeros(gone));
    }
  }

  /** A device stores a version, then marks; after a drain that found no mark the version is old. */
  @Test
  void markAlwaysAndDrain_manyMarkersOneCollector_newestVersionIsSeen() throws Exception {
    HostBitmap bitmap = new HostBitmap(PAGES);
    AtomicLongArray versions = new AtomicLongArray(PAGES);
    long[] seen = new long[PAGES];
    AtomicBoolean stop = new AtomicBoolean();
    PageWordConsumer read =
        (word, bits) -> {
          for (long rest = bits; rest != 0; rest &= rest - 1) {
            int page = 64 * word + Long.numberOfTrailingZeros(rest);
            seen[page] = versions.getPlain(page);
          }
        };
    FutureTask<Void> collector =
        new FutureTask<>(
            () -> {
              while (!stop.get()) {
                bitmap.drain(read);
              }
            },
            null);
    new Thread(collector, "collector").start();
    List<FutureTask<Void>> markers =
        start(
            MARKERS,
            () -> {
              SplittableRandom random = new SplittableRandom(Thread.currentThread().hashCode());
              for (int i = 0; i < MARKS; i++) {
                int page = random.nextInt(PAGES);
                versions.getAndIncrement(page);
                bitmap.markAlways(page, 1);
              }
            });
    join(markers);
    stop.set(true);
    collector.get();
    bitmap.drain(read);
    for (int p = 0; p < PAGES; p++) {
      assertEquals(versions.get(p), seen[p], "page " + p);
    }
  }

  /**
   * Whoever relies on another's mark is found: a page that was seen marked is in the next fetch,
   * though the marker may be half-way still. No block is suspect as it is marked.
   */
  @Test
  void fetch_pageSeenMarkedWhileItsMarkerIsHalfWay_isHandedOut() throws Exception {
    LiveBitmap bitmap = new LiveBitmap(512);
    AtomicInteger round = new AtomicInteger();
    AtomicInteger marked = new AtomicInteger();
    List<FutureTask<Void>> marker =
        start(
            1,
            () -> {
              for (int i = 1; i <= ROUNDS_SEEN; i++) {
                int begun = i;
                await(() -> round.getAcquire() >= begun);
                Bits.mark(bitmap, 0);
                marked.setRelease(i);
              }
            });
    int missed = 0;
    for (int i = 1; i <= ROUNDS_SEEN; i++) {
      round.setRelease(i);
      await(() -> bitmap.isMarked(0));
      boolean[] found = {false};
      bitmap.fetch(false, (word, bits) -> found[0] |= word == 0 && (bits & 1) != 0);
      missed += found[0] ? 0 : 1;
      int finished = i;
      await(() -> marked.getAcquire() >= finished);
      bitmap.fetch(true, (word, bits) -> {});
      bitmap.fetch(true, (word, bits) -> {});
      bitmap.clear(0, 1);
      bitmap.fetch(true, (word, bits) -> assertEquals(0, bits, "a suspect is left"));
    }
    join(marker);
    assertEquals(0, missed);
  }
}
