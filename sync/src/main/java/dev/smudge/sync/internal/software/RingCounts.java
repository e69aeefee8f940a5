package dev.smudge.sync.internal.software;

/** What rings have counted: entries that were harvested, resets, pages that had no room. */
public record RingCounts(long entries, long resets, long spills) {
  /** Of no ring. */
  public static final RingCounts NONE = new RingCounts(0, 0, 0);

  RingCounts plus(VcpuRing ring) {
    return new RingCounts(entries + ring.entries(), resets + ring.resets(), spills + ring.spills());
  }
}
