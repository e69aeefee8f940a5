package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.internal.time.Patience;

/**
 * Where vCPUs wait that write faster than they may, offline, at their safepoints: for room in their
 * ring, and for their dirty limit. While nobody collects, nobody waits.
 */
public final class BackPressure {
  private final VcpuGroup group;
  private final VcpuSignal signal;
  private volatile boolean collecting; // there is a client

  BackPressure(VcpuGroup group, VcpuSignal signal) {
    this.group = group;
    this.signal = signal;
  }

  /**
   * Says whether anybody collects; if nobody does, no vCPU waits for its ring.
   *
   * @param now whether there is a client
   */
  public void setCollecting(boolean now) {
    collecting = now;
    wake();
  }

  /** Something has changed that an offline vCPU may wait for: a reset, a dirty limit. */
  public void wake() {
    signal.wake();
  }

  /** Whether there is no room in the ring of the calling vCPU, and somebody who may make some. */
  boolean isWaitedForRoom(RingRoom ring) {
    return collecting && ring.isSoftFull();
  }

  /**
   * Waits until the ring of the calling vCPU, which is offline, is not soft full any more, nobody
   * collects, or the thread is interrupted.
   *
   * @return false after the timeout
   */
  boolean awaitRoom(RingRoom ring) {
    Patience patience = new Patience(group.timeoutNanos());
    signal.lock();
    try {
      while (isWaitedForRoom(ring) && !Thread.currentThread().isInterrupted()) {
        if (patience.isOver()) {
          return false;
        }
        signal.await(patience.slice());
      }
      return true;
    } finally {
      signal.unlock();
    }
  }

  /**
   * Waits until a dirty limit allows more, nobody collects, or the thread is interrupted. The
   * calling vCPU is offline.
   */
  void awaitPaid(DirtyLimit limit) {
    signal
        .lock(); // before the look at the limit: whoever raises it has to find this thread waiting
    try {
      long left = limit.pay(System.nanoTime());
      while (collecting && left > 0 && !Thread.currentThread().isInterrupted()) {
        signal.await(left);
        left = limit.pay(System.nanoTime());
      }
    } finally {
      signal.unlock();
    }
  }
}
