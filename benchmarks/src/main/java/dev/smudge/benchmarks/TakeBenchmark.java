package dev.smudge.benchmarks;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import java.util.ArrayList;
import java.util.List;
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
 * runs. 2^18 pages are 1 GiB, 2^28 are 1 TiB. The pages are those of {@code src/main/c/harvest.c},
 * which {@code .ci/yardstick} runs beside this.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5000)
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

  /** How many clients take, one after the other. */
  @Param("1")
  public int clients;

  private DirtyLog log;
  private LogSlot slot;
  private LogVcpu vcpu;
  private final List<DirtyClient<LogSlot>> all = new ArrayList<>();

  /** Makes the log and the clients. */
  @Setup
  public void open() {
    log = DirtyLog.create();
    slot = log.addSlot(0, 1L << pagesLog2, 4096);
    vcpu = log.addVcpu();
    for (int i = 0; i < clients; i++) {
      all.add(log.client("benchmark " + i, InitialView.NONE_DIRTY));
    }
  }

  /** Closes them. */
  @TearDown
  public void close() {
    vcpu.close();
    log.close();
  }

  /** Makes pages dirty: spread by a multiplication that visits every page once. */
  @Setup(Level.Invocation)
  public void write() {
    long count = Long.parseLong(dirty.replace("%", ""));
    if (dirty.endsWith("%")) {
      count = count * slot.pageCount() / 100;
    }
    if (count == slot.pageCount()) {
      vcpu.mark(slot, 0, slot.pageCount() * slot.pageSize());
    } else {
      for (long i = 0; i < count; i++) {
        vcpu.mark(slot, (i * 2_654_435_761L & slot.pageCount() - 1) << 12, 8);
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
    long count = 0;
    for (DirtyClient<LogSlot> client : all) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        count += batch.pageCount();
        batch.commit();
      }
    }
    return count;
  }

  /**
   * Takes, walks the runs, and commits.
   *
   * @param blackhole takes the runs
   */
  @Benchmark
  public void takeAndWalk(Blackhole blackhole) {
    for (DirtyClient<LogSlot> client : all) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        batch.forEachRun((slotId, first, count) -> blackhole.consume(first + count));
        batch.commit();
      }
    }
  }
}
