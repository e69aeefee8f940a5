package dev.smudge.benchmarks;

import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.embed.MapLock;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.concurrent.locks.StampedLock;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Group;
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
 * A slot is replaced by one of the same memory, again and again, beside a vCPU that writes: how
 * long a change takes (methods {@code ...Change}), and how long a block of the vCPU's (256 stores
 * and marks, then a safepoint) at most (methods {@code ...Block}, the highest percentiles). The
 * losers have the vCPU hold a read lock for each block, or swap the bitmap and lose what is marked
 * meanwhile.
 */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
@State(Scope.Group)
public class SlotCommitBenchmark {
  private static final int STORES = 256;

  /** Pages of the slot. */
  @Param({"256", "262144"})
  public int pages;

  private final long[] ram = new long[1 << 17];
  private DirtyLog log;
  private MapLock lock;
  private volatile LogSlot current;

  private final ReadWriteLock readWrite = new ReentrantReadWriteLock();
  private final ReadWriteLock stamped = new StampedLock().asReadWriteLock();
  private LiveBitmap locked;
  private volatile LiveBitmap swapped;

  /** Makes the log. */
  @Setup
  public void open() {
    log = DirtyLog.create();
    lock = EmbeddedLog.of(log).newLock("a change");
    current = log.addSlot(0, pages, 4096);
    log.client("c", InitialView.NONE_DIRTY);
    locked = new LiveBitmap(pages);
    swapped = new LiveBitmap(pages);
  }

  /** Closes it. */
  @TearDown
  public void close() {
    log.close();
  }

  /** The vCPU. Its own thread closes it, since closing the log waits for it. */
  @State(Scope.Thread)
  public static class Runner {
    private LogVcpu vcpu;
    private LogSlot held;

    /**
     * Adds the vCPU.
     *
     * @param of with the log
     */
    @Setup
    public void open(SlotCommitBenchmark of) {
      held = of.current;
      vcpu = of.log.addVcpu(() -> held = of.current);
    }

    /** Closes it. */
    @TearDown
    public void close() {
      vcpu.close();
    }
  }

  /**
   * A block of the vCPU's.
   *
   * @param runner the vCPU
   */
  @Benchmark
  @Group("smudge")
  public void smudgeBlock(Runner runner) {
    LogVcpu vcpu = runner.vcpu;
    vcpu.safepoint();
    for (int i = 0; i < STORES; i++) {
      ram[i << 9] = i;
      vcpu.mark(runner.held, (long) i << 12, 8);
    }
    vcpu.safepoint();
  }

  /** A change. */
  @Benchmark
  @Group("smudge")
  public void smudgeChange() {
    LogSlot from = current;
    MapChange change = EmbeddedLog.of(log).beginChange(lock, true);
    LogSlot to = change.add(0, pages, 4096);
    change.remove(from, () -> {});
    change.carry(from, 0, to, 0, pages);
    change.swap(() -> current = to);
    change.end();
    change.retire();
  }

  private void block(ReadWriteLock lock) {
    lock.readLock().lock();
    try {
      for (int i = 0; i < STORES; i++) {
        ram[i << 9] = i;
        locked.markRange(i, 1);
      }
    } finally {
      lock.readLock().unlock();
    }
  }

  private void change(ReadWriteLock lock) {
    lock.writeLock().lock();
    try {
      locked = copy(locked);
    } finally {
      lock.writeLock().unlock();
    }
  }

  private LiveBitmap copy(LiveBitmap from) {
    LiveBitmap to = new LiveBitmap(pages);
    for (int page = 0; page < pages; page++) {
      if (from.isMarked(page)) {
        to.markRange(page, 1);
      }
    }
    return to;
  }

  /** A block, under a read lock. */
  @Benchmark
  @Group("readWriteLock")
  public void readWriteLockBlock() {
    block(readWrite);
  }

  /** A change, under the write lock. */
  @Benchmark
  @Group("readWriteLock")
  public void readWriteLockChange() {
    change(readWrite);
  }

  /** A block, under a read lock. */
  @Benchmark
  @Group("stampedLock")
  public void stampedLockBlock() {
    block(stamped);
  }

  /** A change, under the write lock. */
  @Benchmark
  @Group("stampedLock")
  public void stampedLockChange() {
    change(stamped);
  }

  /** A block; what is marked during a change is lost. */
  @Benchmark
  @Group("copyOnWriteLossy")
  public void copyOnWriteLossyBlock() {
    for (int i = 0; i < STORES; i++) {
      ram[i << 9] = i;
      swapped.markRange(i, 1);
    }
  }

  /** A change: copies and swaps. */
  @Benchmark
  @Group("copyOnWriteLossy")
  public synchronized void copyOnWriteLossyChange() {
    swapped = copy(swapped);
  }
}
