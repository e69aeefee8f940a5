package dev.smudge.sync.internal.vcpu;

/**
 * How much a vCPU may make dirty per second: a bucket of bytes that drains at that rate. What the
 * vCPU dirties in one go goes in at once; at its safepoints it waits until the bucket is empty. A
 * vCPU that was below its limit for a while has a little in hand, which also makes up for a wait
 * that took too long.
 */
public final class DirtyLimit {
  private static final long NANOS = 1_000_000_000L;

  /** What is put off until it is worth a look at the clock: 2 ms of the limit. */
  private static final int PARTS_UNPAID = 500;

  /** How far the bucket goes below empty: 20 ms of the limit. */
  private static final int PARTS_IN_HAND = 50;

  private volatile long bytesPerSecond = Long.MAX_VALUE; // no limit

  // The vCPU's thread only.
  private long unpaid;
  private double owed;
  private long owedAt = System.nanoTime();

  /** From any thread. */
  public void set(long limit) {
    bytesPerSecond = limit;
  }

  /** Adds what was made dirty; returns whether it is time to {@link #pay}. */
  public boolean add(long bytes) {
    long limit = bytesPerSecond;
    if (limit == Long.MAX_VALUE) {
      return false;
    }
    unpaid += bytes;
    return unpaid >= limit / PARTS_UNPAID;
  }

  /**
   * Settles what was added.
   *
   * @return how long to wait now, in nanoseconds; 0 or less: not at all
   */
  public long pay(long now) {
    long limit = bytesPerSecond;
    double drained = (now - owedAt) / (double) NANOS * limit;
    owedAt = now;
    if (limit == Long.MAX_VALUE) {
      owed = 0;
      unpaid = 0;
      return 0;
    }
    owed = Math.max(owed - drained, -(double) limit / PARTS_IN_HAND) + unpaid;
    unpaid = 0;
    return (long) Math.min(owed / limit * NANOS, Long.MAX_VALUE);
  }
}
