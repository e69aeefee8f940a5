package dev.smudge.benchmarks;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.RingFullPolicy;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Collecting D dirty pages of a guest of 2^28 pages (1 TiB) by ring and by bitmap: a whole take and
 * commit. {@link CollectPlot} draws it.
 */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(value = 1, jvmArgsAppend = "-Xmx4g")
@State(Scope.Thread)
public class CollectBenchmark {
  static final int PAGES_LOG2 = 28;
  private static final int RING = 65_536;

  /** How many pages are dirty; the largest fills a ring. */
  @Param({"1", "10", "100", "300", "1000", "3000", "10000", "60000"})
  public int dirty;

  /** Where they are: anywhere, or one behind the other. */
  @Param({"random", "sequential"})
  public String where;

  /** By what they are collected. */
  @Param({"bitmap", "ring"})
  public String by;

  private DirtyLog log;
  private LogSlot slot;
  private LogVcpu vcpu;
  private DirtyClient<LogSlot> client;
  private long[] pages = {};

  /** Makes the log and the client. */
  @Setup
  public void open() {
    DirtyLogBuilder builder = DirtyLog.builder();
    if (by.equals("ring")) {
      builder.ring(RING, 0, RingFullPolicy.SPILL);
    }
    log = builder.build();
    slot = log.addSlot(0, 1L << PAGES_LOG2, 4096);
    vcpu = log.addVcpu();
    client = log.client("benchmark", InitialView.NONE_DIRTY);
    SplittableRandom random = new SplittableRandom(1);
    long first = random.nextLong(1L << (PAGES_LOG2 - 1));
    pages = new long[dirty];
    for (int i = 0; i < dirty; i++) {
      pages[i] = where.equals("random") ? random.nextLong(1L << PAGES_LOG2) : first + i;
    }
  }

  /** Closes them. */
  @TearDown
  public void close() {
    vcpu.close();
    log.close();
  }

  /** Makes pages dirty. */
  @Setup(Level.Invocation)
  public void write() {
    for (long page : pages) {
      vcpu.mark(slot, page << 12, 8);
    }
    vcpu.offline();
  }

  /**
   * Takes and commits.
   *
   * @return pages taken
   */
  @Benchmark
  public long take() {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      long count = batch.pageCount();
      batch.commit();
      return count;
    }
  }
}
