package dev.smudge.sync.internal.counter;

/** What rings have counted: entries that were harvested, resets, pages that had no room. */
public record RingCounters(long entries, long resets, long spills) {
  /** Of no ring. */
  public static final RingCounters NONE = new RingCounters(0, 0, 0);

  /** {@return these and those of another ring} */
  public RingCounters plus(RingCounters ring) {
    return new RingCounters(entries + ring.entries, resets + ring.resets, spills + ring.spills);
  }
}
