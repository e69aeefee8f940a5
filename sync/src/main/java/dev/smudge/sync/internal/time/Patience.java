package dev.smudge.sync.internal.time;

import java.util.function.LongSupplier;

/**
 * How long one wait for another thread has taken, counting only time in which that thread could
 * have run.
 *
 * <p>The clock runs on while the process is stopped (by a signal or a debugger), while a long
 * garbage collection stops all threads, and while a virtual machine is suspended. The other thread
 * cannot answer then, so it must not be blamed. The waiting thread cannot run either, which is how
 * this class notices: between two of its looks at the clock, which come at least every {@link
 * #slice}, it counts no more than {@link #MOST_PER_LOOK}, however far the clock has advanced.
 *
 * <p>For one thread at a time. A caller that looks less often than every {@code MOST_PER_LOOK}
 * waits for longer than the limit.
 */
public final class Patience {
  /** The most that is counted between two looks, in nanoseconds. */
  static final long MOST_PER_LOOK = 50_000_000L;

  /** How long a sleep between two looks takes at most, in nanoseconds. */
  private static final long SLICE = 20_000_000L;

  private final LongSupplier clock;
  private final long limit;
  private long lastLook;
  private long counted;

  /**
   * Begins a wait.
   *
   * @param limit in nanoseconds
   */
  public Patience(long limit) {
    this(limit, System::nanoTime);
  }

  Patience(long limit, LongSupplier clock) {
    this.clock = clock;
    this.limit = limit;
    this.lastLook = clock.getAsLong();
  }

  /** Looks at the clock, and {@return whether the limit is reached} */
  public boolean isOver() {
    long now = clock.getAsLong();
    counted += Math.min(now - lastLook, MOST_PER_LOOK);
    lastLook = now;
    return counted >= limit;
  }

  /** {@return how long to sleep at most until the next look, in nanoseconds; more than 0} */
  public long slice() {
    return Math.max(1, Math.min(limit - counted, SLICE));
  }

  /** {@return what was counted up to the last look, in nanoseconds} */
  public long counted() {
    return counted;
  }
}
