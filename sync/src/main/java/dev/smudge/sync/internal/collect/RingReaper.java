package dev.smudge.sync.internal.collect;

/** Reaps the rings of a log when one of them is half full. */
public final class RingReaper {
  private RingReaper() {}

  /**
   * Reaps if a ring is half full, unless somebody collects.
   *
   * @param collector of a log with rings
   * @return the number of entries
   */
  public static int reap(Collector collector) {
    int[] found = new int[1];
    collector
        .lock()
        .tryRun(() -> {
          if (collector.clients().isAny() && collector.tracker().isAnyRingHalfFull()) {
            found[0] = collector.reap();
          }
        });
    return found[0];
  }
}
