package dev.smudge.benchmarks;

import dev.smudge.sync.inhibitor.AccessInhibitor;
import dev.smudge.sync.inhibitor.InhibitableAccess;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.concurrent.locks.StampedLock;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
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
 * What an access costs beside the locks that could be in its place, by one thread and by two; and
 * how long a changer waits for one that is busy and is kicked.
 */
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@BenchmarkMode(Mode.AverageTime)
@Warmup(iterations = 4, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
public class InhibitorBenchmark {

  /** What the threads share. */
  @State(Scope.Benchmark)
  public static class Shared {
    final AccessInhibitor inhibitor = AccessInhibitor.create();
    final StampedLock stamped = new StampedLock();
    final ReentrantReadWriteLock.ReadLock read = new ReentrantReadWriteLock().readLock();
    final AtomicLong inside = new AtomicLong();
  }

  /** What each thread has. */
  @State(Scope.Thread)
  public static class Own {
    InhibitableAccess access;

    /**
     * Adds the thread's access.
     *
     * @param shared the inhibitor
     */
    @Setup
    public void open(Shared shared) {
      access = shared.inhibitor.addAccess(() -> {});
    }
  }

  /** A vCPU that is inside all the time, until it is kicked. */
  @State(Scope.Benchmark)
  public static class Busy {
    final AccessInhibitor inhibitor = AccessInhibitor.create();
    private final AtomicBoolean immediateExit = new AtomicBoolean();
    private volatile boolean inside;
    private volatile boolean stop;
    private Thread thread;

    /** Starts it. */
    @Setup
    public void open() {
      stop = false;
      InhibitableAccess access = inhibitor.addAccess(() -> immediateExit.set(true));
      thread =
          new Thread(() -> {
            while (!stop) {
              immediateExit.set(false);
              access.enter();
              inside = true;
              while (!immediateExit.get() && !stop) {
                Thread.onSpinWait();
              }
              inside = false;
              access.leave();
            }
            access.close();
          });
      thread.start();
    }

    /** Waits until it is inside. */
    @Setup(Level.Invocation)
    public void awaitInside() {
      while (!inside) {
        Thread.onSpinWait();
      }
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

  private static void access(Own own) {
    own.access.enter();
    own.access.leave();
  }

  private static void nested(Own own) {
    own.access.enter();
    own.access.enter();
    own.access.leave();
    own.access.leave();
  }

  private static void stamped(Shared shared) {
    shared.stamped.unlockRead(shared.stamped.readLock());
  }

  @SuppressWarnings("LockNotBeforeTry") // as short as the others
  private static void readLock(Shared shared) {
    shared.read.lock();
    shared.read.unlock();
  }

  private static void counter(Shared shared) {
    shared.inside.getAndIncrement();
    shared.inside.getAndDecrement();
  }

  /**
   * Enters and leaves.
   *
   * @param own the access
   */
  @Benchmark
  public void access1(Own own) {
    access(own);
  }

  /**
   * As {@link #access1}, in two threads.
   *
   * @param own the access
   */
  @Benchmark
  @Threads(2)
  public void access2(Own own) {
    access(own);
  }

  /**
   * Enters and leaves twice, nested.
   *
   * @param own the access
   */
  @Benchmark
  public void nested1(Own own) {
    nested(own);
  }

  /**
   * A read lock of a {@link StampedLock}.
   *
   * @param shared the lock
   */
  @Benchmark
  public void stampedLock1(Shared shared) {
    stamped(shared);
  }

  /**
   * As {@link #stampedLock1}, in two threads.
   *
   * @param shared the lock
   */
  @Benchmark
  @Threads(2)
  public void stampedLock2(Shared shared) {
    stamped(shared);
  }

  /**
   * A read lock of a {@link ReentrantReadWriteLock}.
   *
   * @param shared the lock
   */
  @Benchmark
  public void readWriteLock1(Shared shared) {
    readLock(shared);
  }

  /**
   * As {@link #readWriteLock1}, in two threads.
   *
   * @param shared the lock
   */
  @Benchmark
  @Threads(2)
  public void readWriteLock2(Shared shared) {
    readLock(shared);
  }

  /**
   * A counter that all threads share.
   *
   * @param shared the counter
   */
  @Benchmark
  public void counter1(Shared shared) {
    counter(shared);
  }

  /**
   * As {@link #counter1}, in two threads.
   *
   * @param shared the counter
   */
  @Benchmark
  @Threads(2)
  public void counter2(Shared shared) {
    counter(shared);
  }

  /**
   * Inhibits a busy vCPU and lets it in: look at the median.
   *
   * @param busy the vCPU
   */
  @Benchmark
  @BenchmarkMode(Mode.SampleTime)
  public void inhibit(Busy busy) {
    busy.inhibitor.inhibit().close();
  }
}
