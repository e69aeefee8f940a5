package dev.smudge.sync.internal.collect;

/** Reaps the rings of a log when one of them is half full. */
public final class RingReaper {
  private RingReaper() {}

  /**
   * Reaps if a ring is half full, unless somebody collects.
   *
   * @param collector of a log with rings
   * @return the number of entries
   * @throws IllegalStateException if the log has no rings
   */
  public static int reap(Collector collector) {
    check(collector);
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

  /**
   * Checks that there is something to reap.
   *
   * @param collector of a log
   * @throws IllegalStateException if the log has no rings
   */
  public static void check(Collector collector) {
    if (!collector.tracker().hasRings()) {
      throw new IllegalStateException(
          "a log without rings has nothing to reap: DirtyLog.builder().ring(entries)");
    }
  }
}
