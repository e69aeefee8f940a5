package dev.smudge.benchmarks;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A page on its way from a vCPU's thread to a collector's: pushed, harvested, re-armed and given
 * back, handed out. Beside it queues in place of the ring, which re-arm nothing.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@OperationsPerInvocation(RingBenchmark.BATCH)
public class RingBenchmark {
  static final int BATCH = 1 << 20;
  private static final int CHUNK = 1 << 10;
  private static final int PAGES = 1 << 16;

  /** A queue and its collector. */
  @State(Scope.Benchmark)
  public abstract static class Run {
    private static final int CONSUMED = 16;
    private static final int STOPPED = 32;
    // 2^16 / golden ratio: no two next to one another in one word of the bitmap
    private static final int FAR = 40_503;

    /** Its entries. */
    @Param({"4096", "65536"})
    public int entries;

    /** Whether the collector looks all the time, or begins to each 20 µs. */
    @Param({"0", "20"})
    public int periodMicros;

    /** Whether pages come in order, which are re-armed 64 at a time, or not. */
    @Param({"sequential", "scattered"})
    public String order;

    private final AtomicLongArray words = new AtomicLongArray(48);
    private PageQueue queue;
    private Thread collector;
    private int step;

    abstract PageQueue create(int entries, int pageCount);

    /** Starts the collector. */
    @Setup
    public void start() {
      step = order.equals("sequential") ? 1 : FAR;
      queue = create(entries, PAGES);
      collector = new Thread(this::collect, "collector");
      collector.setDaemon(true);
      collector.start();
    }

    private void collect() {
      long period = TimeUnit.MICROSECONDS.toNanos(periodMicros);
      long consumed = 0;
      long begin = System.nanoTime();
      while (words.getOpaque(STOPPED) == 0) {
        while (period != 0 && System.nanoTime() - begin < period) {
          Thread.onSpinWait();
        }
        begin = System.nanoTime();
        int count = PageQueue.collect(queue);
        if (count > 0) {
          consumed += count;
          words.setRelease(CONSUMED, consumed);
        } else {
          Thread.onSpinWait();
        }
      }
    }

    /** One batch, until the collector has it all. */
    void batch() {
      long end = words.getAcquire(CONSUMED) + BATCH;
      for (int i = 0; i < BATCH; i += CHUNK) {
        PageQueue.produce(queue, i, CHUNK, step, PAGES - 1);
      }
      while (words.getAcquire(CONSUMED) < end) {
        Thread.onSpinWait();
      }
    }

    /**
     * Looks whether every page came.
     *
     * @throws InterruptedException never
     */
    @TearDown(Level.Trial)
    public void stop() throws InterruptedException {
      words.set(STOPPED, 1);
      collector.join();
      long consumed = words.get(CONSUMED);
      long expected = consumed + consumed / PAGES * ((long) PAGES * (PAGES - 1) / 2);
      if (queue.sum != expected) {
        throw new IllegalStateException("sum " + queue.sum + ", expected " + expected);
      }
    }
  }

  /** Our ring, on the heap. */
  public static class Heap extends Run {
    @Override
    PageQueue create(int entries, int pageCount) {
      return PageQueues.Ring.onHeap(entries, pageCount);
    }
  }

  /** Our ring, in a direct buffer. */
  public static class Direct extends Run {
    @Override
    PageQueue create(int entries, int pageCount) {
      return PageQueues.Ring.direct(entries, pageCount);
    }
  }

  /** JCTools. */
  public static class JcTools extends Run {
    @Override
    PageQueue create(int entries, int pageCount) {
      return new PageQueues.JcTools(entries, pageCount);
    }
  }

  /** Disruptor. */
  public static class Disruptor extends Run {
    @Override
    PageQueue create(int entries, int pageCount) {
      return new PageQueues.Disruptor(entries);
    }
  }

  /**
   * Our ring, on the heap.
   *
   * @param run the queue
   */
  @Benchmark
  public void heap(Heap run) {
    run.batch();
  }

  /**
   * Our ring, in a direct buffer.
   *
   * @param run the queue
   */
  @Benchmark
  public void direct(Direct run) {
    run.batch();
  }

  /**
   * {@code SpscVarHandleArrayQueue}.
   *
   * @param run the queue
   */
  @Benchmark
  public void jctools(JcTools run) {
    run.batch();
  }

  /**
   * {@code RingBuffer} of a single producer, and an {@code EventPoller}.
   *
   * @param run the queue
   */
  @Benchmark
  public void disruptor(Disruptor run) {
    run.batch();
  }
}
