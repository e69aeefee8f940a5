package dev.smudge.sync;

import dev.smudge.ring.DirtyRing;
import dev.smudge.sync.tracker.Tracker;
import java.time.Duration;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.agrona.ErrorHandler;
import org.jspecify.annotations.Nullable;

/** Options of a {@link DirtyLog}. Not thread-safe. */
public final class DirtyLogBuilder {
  private static final System.Logger LOGGER = System.getLogger(DirtyLog.class.getName());

  Duration timeout = Duration.ofSeconds(10);
  ErrorHandler errorHandler =
      e -> LOGGER.log(System.Logger.Level.ERROR, "dirty log: " + e.getMessage(), e);
  @Nullable Tracker tracker; // null: a built-in one
  UnaryOperator<Tracker> interceptor = UnaryOperator.identity();
  int ringEntries; // 0: bitmap mode
  int ringReserve;
  RingFullPolicy ringFullPolicy = RingFullPolicy.WAIT;

  DirtyLogBuilder() {}

  /**
   * As {@link #ring(int, int, RingFullPolicy)}, with the kernel's reserve of 64 entries, or a
   * quarter of a ring that is smaller than 256, and {@link RingFullPolicy#WAIT}.
   *
   * @param entries of each ring
   * @return this
   * @throws IllegalArgumentException see there
   */
  public DirtyLogBuilder ring(int entries) {
    return ring(entries, Math.min(64, entries / 4), RingFullPolicy.WAIT);
  }

  /**
   * Has each vCPU report in its own dirty ring. Default: bitmap mode, without rings.
   *
   * @param entries of each ring, a power of two from 2 to 65,536; 16 bytes each
   * @param reserve how many are left when a ring is soft full, 0 to {@code entries - 1}: what a
   *     vCPU makes dirty from one safepoint to the next should find room there; beyond it pages go
   *     to the bitmap of their slot
   * @param policy what the vCPU does then, at its next safepoint
   * @return this
   * @throws IllegalArgumentException if a value is outside that
   */
  public DirtyLogBuilder ring(int entries, int reserve, RingFullPolicy policy) {
    DirtyRing.checkSize(entries, reserve);
    this.ringFullPolicy = Objects.requireNonNull(policy, "policy");
    this.ringEntries = entries;
    this.ringReserve = reserve;
    return this;
  }

  /**
   * Sets how long a barrier or a pause waits for a vCPU before it fails with {@link
   * VcpuTimeoutException}. Default: 10 seconds.
   *
   * @param limit more than zero, at most a day
   * @return this
   * @throws IllegalArgumentException if it is outside that
   */
  public DirtyLogBuilder timeout(Duration limit) {
    if (limit.isZero() || limit.isNegative() || limit.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "timeout " + limit + " is not more than zero and at most a day");
    }
    this.timeout = limit;
    return this;
  }

  /**
   * Sets who is told of errors that have no caller: a vCPU whose thread died, a write after {@link
   * DirtyLog#seal}. Default: the system logger {@code dev.smudge.sync.DirtyLog}.
   *
   * @param handler called from any thread; must not throw
   * @return this
   */
  public DirtyLogBuilder errorHandler(ErrorHandler handler) {
    this.errorHandler = Objects.requireNonNull(handler, "handler");
    return this;
  }

  /**
   * Has guest writes found by another tracker than the built-in one. If the vCPUs are its own
   * ({@link Tracker#vcpus}), the log has no {@link LogVcpu}. Writes without a vCPU are marked as
   * ever, unless the tracker finds those too.
   *
   * @param other tracker of this log alone
   * @return this
   */
  public DirtyLogBuilder tracker(Tracker other) {
    this.tracker = Objects.requireNonNull(other, "other");
    return this;
  }

  /**
   * Puts a tracker in front of the one that finds the guest's writes: to count, to trace, to inject
   * faults ({@link dev.smudge.sync.tracker.ForwardingTracker}). What it leaves out is not done: one
   * without {@code afterSync} loses writes.
   *
   * @param interceptor gets that tracker, returns what the log is to use
   * @return this
   */
  public DirtyLogBuilder interceptTracker(UnaryOperator<Tracker> interceptor) {
    this.interceptor = Objects.requireNonNull(interceptor, "interceptor");
    return this;
  }

  /** {@return the log} */
  public DirtyLog build() {
    return new DirtyLog(this, false);
  }
}
