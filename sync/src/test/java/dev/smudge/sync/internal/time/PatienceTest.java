package dev.smudge.sync.internal.time;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Waits count only time in which the other could have run; an interrupt makes none spin. */
@Timeout(60)
final class PatienceTest {
  private static final long MS = TimeUnit.MILLISECONDS.toNanos(1);
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final AtomicLong clock = new AtomicLong(Long.MAX_VALUE - SECOND); // wraps

  @Test
  void isOver_looksOften_overAtTheLimit() {
    Patience patience = new Patience(SECOND, clock::get);
    for (int i = 0; i < 99; i++) {
      clock.addAndGet(10 * MS);
      assertFalse(patience.isOver(), "after " + (i + 1) * 10 + " ms");
    }
    clock.addAndGet(10 * MS);
    assertTrue(patience.isOver());
    assertEquals(SECOND, patience.counted());
  }

  @Test
  void isOver_processIsStoppedBetweenTwoLooks_countsALittleOnly() {
    Patience patience = new Patience(SECOND, clock::get);
    for (int i = 0; i < 5; i++) {
      clock.addAndGet(10 * MS);
      assertFalse(patience.isOver());
      clock.addAndGet(3600 * SECOND);
      assertFalse(patience.isOver());
    }
    assertEquals(5 * (10 * MS + Patience.MOST_PER_LOOK), patience.counted());
  }

  @Test
  void slice_beforeAndAtTheEnd_isPositiveAndShorterThanWhatALookCounts() {
    Patience patience = new Patience(30 * MS, clock::get);
    assertEquals(20 * MS, patience.slice());
    clock.addAndGet(20 * MS);
    assertFalse(patience.isOver());
    assertEquals(10 * MS, patience.slice());
    clock.addAndGet(20 * MS);
    assertTrue(patience.isOver());
    assertEquals(1, patience.slice());
  }

  @Test
  void idle_interruptedThread_sleepsAndStaysInterrupted() {
    Backoff backoff = new Backoff();
    Thread.currentThread().interrupt();
    long start = System.nanoTime();
    int idles = 0;
    while (System.nanoTime() - start < SECOND) {
      backoff.idle();
      idles++;
    }
    assertTrue(Thread.interrupted(), "the interrupt is kept");
    assertTrue(idles < 10_000, idles + " looks in a second");
  }
}
