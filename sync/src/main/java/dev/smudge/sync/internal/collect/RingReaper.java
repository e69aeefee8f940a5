package dev.smudge.sync.internal.collect;

import org.agrona.concurrent.Agent;

/** Reaps the rings of a log when one of them is half full. */
public final class RingReaper implements Agent {
  private final Collector collector;

  /** Makes one for a log with rings. */
  public RingReaper(Collector collector) {
    this.collector = collector;
  }

  @Override
  public int doWork() {
    if (!collector.lock().tryLock()) {
      return 0; // somebody collects
    }
    try {
      return collector.clients().isAny() && collector.tracker().isAnyRingHalfFull()
          ? collector.reap()
          : 0;
    } finally {
      collector.lock().unlock();
    }
  }

  @Override
  public String roleName() {
    return "dirty-ring-reaper";
  }
}
