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
    int[] found = new int[1];
    collector
        .lock()
        .tryRun(() -> {
          if (collector.clients().isAny() && collector.tracker().isAnyRingHalfFull()) {
            found[0] = collector.reap();
          }
        });
    return found[0]; // none if somebody collects
  }

  @Override
  public String roleName() {
    return "dirty-ring-reaper";
  }
}
