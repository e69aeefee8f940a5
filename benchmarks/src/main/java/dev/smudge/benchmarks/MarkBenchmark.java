package dev.smudge.benchmarks;

import dev.smudge.bitmap.LiveBitmap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * First touch, and the bitmap's design: a heap {@code long[]} with a summary level ({@code heap},
 * the one that ships) beside a flat bitmap in a shared-arena segment ({@code segment}, the loser).
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@State(Scope.Thread)
public class MarkBenchmark {
  private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();
  private static final int PAGES = 1 << 18;
  private static final int TOUCHED = 4096;

  private final LiveBitmap heap = new LiveBitmap(PAGES);
  private Arena arena;
  private MemorySegment segment;
  private long found;

  /** Makes the segment. */
  @Setup
  public void open() {
    arena = Arena.ofShared();
    segment = arena.allocate(PAGES / 8, 128);
  }

  /** Frees it. */
  @TearDown
  public void close() {
    arena.close();
  }

  private boolean markSegment(long page) {
    long at = page >>> 6 << 3;
    long bit = 1L << page;
    if (((long) LONG.getOpaque(segment, at) & bit) != 0) {
      return false;
    }
    return ((long) LONG.getAndBitwiseOrRelease(segment, at, bit) & bit) == 0;
  }

  /** First touch of pages, a page, and clearing them again. */
  @Benchmark
  @OperationsPerInvocation(TOUCHED)
  public void firstTouchHeap() {
    for (long page = 0; page < TOUCHED; page++) {
      heap.markRange(page, 1);
    }
    heap.clear(0, TOUCHED);
  }

  /** As above, off-heap. */
  @Benchmark
  @OperationsPerInvocation(TOUCHED)
  public void firstTouchSegment() {
    for (long page = 0; page < TOUCHED; page++) {
      markSegment(page);
    }
    for (long at = 0; at < TOUCHED / 8; at += 8) {
      LONG.getAndBitwiseAnd(segment, at, 0L);
    }
  }

  /** Marks of pages that are dirty already: markers of one page test first. */
  @Benchmark
  @OperationsPerInvocation(TOUCHED)
  public void markedHeap() {
    for (long page = PAGES / 2; page < PAGES / 2 + TOUCHED; page++) {
      if (!heap.isMarked(page)) {
        heap.markRange(page, 1);
      }
    }
  }

  /** As above, off-heap. */
  @Benchmark
  @OperationsPerInvocation(TOUCHED)
  public void markedSegment() {
    for (long page = PAGES / 2; page < PAGES / 2 + TOUCHED; page++) {
      markSegment(page);
    }
  }

  /**
   * A scan of 256 Ki pages with none dirty, by the summary.
   *
   * @return nothing of interest
   */
  @Benchmark
  public long emptyScanHeap() {
    heap.clear(PAGES / 2, TOUCHED);
    heap.fetch(true, (wordIndex, bits) -> found += bits);
    return found;
  }

  /**
   * As above, off-heap, word by word.
   *
   * @return nothing of interest
   */
  @Benchmark
  public long emptyScanSegment() {
    for (long at = 0; at < PAGES / 8; at += 8) {
      long bits = (long) LONG.getOpaque(segment, at);
      if (bits != 0) {
        found += bits;
      }
    }
    return found;
  }
}
