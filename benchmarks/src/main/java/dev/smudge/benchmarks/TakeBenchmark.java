package dev.smudge.benchmarks;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
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
import org.openjdk.jmh.infra.Blackhole;

/**
 * A whole take (sync, clear, barrier) and commit, with D of N pages dirty; and handing out its
 * runs. 2^18 pages are 1 GiB, 2^28 are 1 TiB.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 300)
@Measurement(iterations = 300)
@Fork(value = 1, jvmArgsAppend = "-Xmx4g")
@State(Scope.Thread)
public class TakeBenchmark {
  /** log2 of the pages. */
  @Param({"18", "28"})
  public int pagesLog2;

  /** How many are dirty: a count, or a share. */
  @Param({"0", "1000", "1%", "50%", "100%"})
  public String dirty;

  private DirtyLog log;
  private LogSlot slot;
  private LogVcpu vcpu;
  private DirtyClient<LogSlot> client;
  private long[] pages = {};

  /** Makes the log and the client. */
  @Setup
  public void open() {
    log = DirtyLog.create();
    slot = log.addSlot(0, 1L << pagesLog2, 4096);
    vcpu = log.addVcpu();
    client = log.client("benchmark", InitialView.NONE_DIRTY);
    if (!dirty.endsWith("%")) {
      SplittableRandom random = new SplittableRandom(1);
      pages = random.longs(Long.parseLong(dirty), 0, 1L << pagesLog2).toArray();
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
    if (dirty.equals("100%")) {
      vcpu.mark(slot, 0, slot.size());
    } else if (dirty.endsWith("%")) {
      int percent = Integer.parseInt(dirty.substring(0, dirty.length() - 1));
      for (long page = 0; page < slot.pageCount(); page += 100 / percent) {
        vcpu.mark(slot, page << 12, 8);
      }
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

  /**
   * Takes, walks the runs, and commits.
   *
   * @param blackhole takes the runs
   */
  @Benchmark
  public void takeAndWalk(Blackhole blackhole) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slotId, first, count) -> blackhole.consume(first + count));
      batch.commit();
    }
  }
}
