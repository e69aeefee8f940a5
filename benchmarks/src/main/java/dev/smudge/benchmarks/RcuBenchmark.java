package dev.smudge.benchmarks;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.rcu.Rcu;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.concurrent.locks.StampedLock;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Threads;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A read-side section that reads one element, beside what else protects it; and what waits for it.
 * Methods whose names end in 2 have two readers.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@State(Scope.Benchmark)
public class RcuBenchmark {
  private static final int MOST_QUEUED = 100_000;

  private final StampedLock stampedLock = new StampedLock();
  private final ReentrantReadWriteLock readWriteLock = new ReentrantReadWriteLock();
  private final LongAdder entered = new LongAdder();
  private final LongAdder left = new LongAdder();
  private volatile int[] elements = {1, 2, 3, 4}; // copy on write
  private DirtyLog log;
  private Rcu rcu;

  /** Makes the log. */
  @Setup
  public void open() {
    log = DirtyLog.create();
    rcu = log.rcu();
  }

  /** Closes it. */
  @TearDown
  public void close() {
    log.close();
  }

  /** A thread that is a vCPU. */
  @State(Scope.Thread)
  public static class Guest {
    private LogVcpu vcpu;

    /**
     * Comes online.
     *
     * @param shared the log
     */
    @Setup
    public void open(RcuBenchmark shared) {
      vcpu = shared.log.addVcpu();
      vcpu.online();
    }

    /** Closes it, on its own thread. */
    @TearDown
    public void close() {
      vcpu.close();
    }
  }

  /** A thread that is in a section most of the time, and leaves it each microsecond. */
  @State(Scope.Benchmark)
  public static class BusyReader {
    private Thread thread;
    private volatile boolean stop;

    /**
     * Starts it.
     *
     * @param shared the RCU
     */
    @Setup
    public void open(RcuBenchmark shared) {
      stop = false;
      thread =
          new Thread(() -> {
            while (!stop) {
              shared.rcu.enter();
              long next = System.nanoTime() + 1000;
              while (System.nanoTime() < next) {
                Thread.onSpinWait();
              }
              shared.rcu.exit();
            }
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
    }
  }

  /** A reclaimer in a thread of its own, and the task. */
  @State(Scope.Benchmark)
  public static class Reclaimer implements Runnable {
    private AgentRunner runner;
    private int queued;
    private volatile boolean ran;

    /**
     * Starts it.
     *
     * @param shared the RCU
     */
    @Setup
    public void open(RcuBenchmark shared) {
      runner =
          new AgentRunner(
              new BackoffIdleStrategy(0, 10, 1000, 100_000),
              Throwable::printStackTrace,
              null,
              shared.rcu.reclaimer());
      AgentRunner.startOnThread(runner);
    }

    /** The task. */
    @Override
    public void run() {
      ran = true;
    }

    /** Stops it. */
    @TearDown
    public void close() {
      runner.close();
      if (!ran) {
        throw new IllegalStateException("no task has run");
      }
    }
  }

  private int sum() {
    int sum = 0;
    for (int element : elements) {
      sum += element;
    }
    return sum;
  }

  /**
   * Unprotected: copy on write and a garbage collector.
   *
   * @return the sum
   */
  @Benchmark
  public int copyOnWrite() {
    return sum();
  }

  /**
   * A section.
   *
   * @return the sum
   */
  @Benchmark
  public int rcu() {
    rcu.enter();
    try {
      return sum();
    } finally {
      rcu.exit();
    }
  }

  /**
   * A section of a vCPU, and its safepoint.
   *
   * @param guest the thread's
   * @return the sum
   */
  @Benchmark
  public int rcuVcpu(Guest guest) {
    rcu.enter();
    try {
      return sum();
    } finally {
      rcu.exit();
      guest.vcpu.safepoint();
    }
  }

  /**
   * No section: a vCPU that drops what it found before its safepoint.
   *
   * @param guest the thread's
   * @return the sum
   */
  @Benchmark
  public int rcuVcpuSafepoint(Guest guest) {
    int sum = sum();
    guest.vcpu.safepoint();
    return sum;
  }

  /**
   * A read lock.
   *
   * @return the sum
   */
  @Benchmark
  public int stampedLock() {
    long stamp = stampedLock.readLock();
    try {
      return sum();
    } finally {
      stampedLock.unlockRead(stamp);
    }
  }

  /**
   * A read lock.
   *
   * @return the sum
   */
  @Benchmark
  public int readWriteLock() {
    readWriteLock.readLock().lock();
    try {
      return sum();
    } finally {
      readWriteLock.readLock().unlock();
    }
  }

  /**
   * Two striped counters.
   *
   * @return the sum
   */
  @Benchmark
  public int stripedCounters() {
    entered.increment();
    try {
      return sum();
    } finally {
      left.increment();
    }
  }

  /**
   * As {@link #rcu}.
   *
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int rcu2() {
    return rcu();
  }

  /**
   * As {@link #rcuVcpu}.
   *
   * @param guest the thread's
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int rcuVcpu2(Guest guest) {
    return rcuVcpu(guest);
  }

  /**
   * As {@link #stampedLock}.
   *
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int stampedLock2() {
    return stampedLock();
  }

  /**
   * As {@link #readWriteLock}.
   *
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int readWriteLock2() {
    return readWriteLock();
  }

  /**
   * As {@link #stripedCounters}.
   *
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int stripedCounters2() {
    return stripedCounters();
  }

  /**
   * As {@link #copyOnWrite}.
   *
   * @return the sum
   */
  @Benchmark
  @Threads(2)
  public int copyOnWrite2() {
    return copyOnWrite();
  }

  /** A grace period without readers. */
  @Benchmark
  public void synchronizeAlone() {
    rcu.synchronize();
  }

  /**
   * A grace period beside a reader: look at the median.
   *
   * @param reader the reader
   */
  @Benchmark
  @BenchmarkMode(Mode.SampleTime)
  public void synchronizeBusyReader(BusyReader reader) {
    rcu.synchronize();
  }

  /**
   * A task, and once in a while the wait until those queued so far have run.
   *
   * @param reclaimer the reclaimer
   */
  @Benchmark
  public void callRcu(Reclaimer reclaimer) {
    rcu.callRcu(reclaimer);
    if (++reclaimer.queued == MOST_QUEUED) {
      reclaimer.queued = 0;
      rcu.barrier();
    }
  }
}
