package dev.smudge.benchmarks;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
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

/** How long the after-sync barrier takes, and what the safepoint costs those that it waits for. */
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@State(Scope.Benchmark)
public class BarrierBenchmark {
  private static final int LOOP = 4096;

  private DirtyLog log;
  private LogVcpu idle;
  private Thread thread;
  private volatile boolean stop;
  private int sum;

  /** Starts a vCPU that passes a safepoint each microsecond. */
  @Setup
  public void open() {
    log = DirtyLog.create();
    idle = log.addVcpu();
    stop = false;
    LogVcpu vcpu = log.addVcpu();
    thread =
        new Thread(() -> {
          while (!stop) {
            long next = System.nanoTime() + 1000;
            while (System.nanoTime() < next) {
              Thread.onSpinWait();
            }
            vcpu.safepoint();
          }
          vcpu.close();
        });
    thread.start();
  }

  /**
   * Stops it.
   *
   * @throws InterruptedException never
   */
  @TearDown
  public void close() throws InterruptedException {
    stop = true;
    thread.join();
    log.close();
  }

  /** A barrier with one running vCPU: look at the median. */
  @Benchmark
  @BenchmarkMode(Mode.SampleTime)
  public void barrier() {
    log.barrier();
  }

  /**
   * A loop of arithmetic without a poll.
   *
   * @return its sum
   */
  @Benchmark
  @BenchmarkMode(Mode.AverageTime)
  @OperationsPerInvocation(LOOP)
  public int loopPlain() {
    int x = sum;
    for (int i = 0; i < LOOP; i++) {
      x = x * 31 + i;
    }
    sum = x;
    return x;
  }

  /**
   * The same loop with a safepoint in each turn.
   *
   * @return its sum
   */
  @Benchmark
  @BenchmarkMode(Mode.AverageTime)
  @OperationsPerInvocation(LOOP)
  public int loopSafepoint() {
    int x = sum;
    for (int i = 0; i < LOOP; i++) {
      x = x * 31 + i;
      idle.safepoint();
    }
    idle.offline();
    sum = x;
    return x;
  }
}
