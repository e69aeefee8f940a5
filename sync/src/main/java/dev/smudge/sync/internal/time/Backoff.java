package dev.smudge.sync.internal.time;

import java.util.concurrent.locks.LockSupport;

/**
 * What a thread does between two looks for something that others do soon: it yields, then sleeps
 * for longer and longer. A thread that is interrupted sleeps all the same, and stays interrupted:
 * {@link LockSupport#parkNanos} alone would return at once, and the loop around it would spin. For
 * one thread.
 */
public final class Backoff {
  private static final int YIELDS = 20;
  private static final long SHORTEST = 1_000;
  private static final long LONGEST = 200_000;

  private int yields;
  private long nanos = SHORTEST;

  /** Makes one that yields first. */
  public Backoff() {}

  /** Yields or sleeps. */
  @SuppressWarnings("ThreadPriorityCheck") // a hint: what is waited for comes soon, perhaps
  public void idle() {
    if (yields < YIELDS) {
      yields++;
      Thread.yield();
      return;
    }
    boolean interrupted = Thread.interrupted();
    LockSupport.parkNanos(this, nanos);
    if (interrupted) {
      // The interrupt has left a permit, which the park has used up. This one sleeps.
      LockSupport.parkNanos(this, nanos);
      Thread.currentThread().interrupt();
    }
    nanos = Math.min(2 * nanos, LONGEST);
  }
}
