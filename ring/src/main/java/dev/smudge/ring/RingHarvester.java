package dev.smudge.ring;

/**
 * The collector's side of a ring: copies dirty entries, and flags them RESET, so that a reset gives
 * them back. For one thread at a time; wait-free; allocates nothing.
 */
public final class RingHarvester extends Padded {
  private final RingEntries entries;
  private final RingProgress progress;

  private long harvested;
  private long published; // what the resetter has been told of

  RingHarvester(RingEntries entries, RingProgress progress) {
    this.entries = entries;
    this.progress = progress;
  }

  /**
   * Harvests dirty entries, in the order of their push, until there is none left or {@code into} is
   * full. At most one round of the ring, however fast its producer is.
   *
   * @param into gets the pages, behind those that it has from this ring already; it hands them out
   *     only after their reset
   * @return how many entries were harvested, 0 or more
   * @throws IllegalStateException if {@code into} has pages of another ring, or is just handing out
   *     its pages; nothing is harvested
   */
  public int harvest(HarvestedPages into) {
    into.begin(progress);
    long begin = harvested;
    int had = into.to;
    try {
      into.harvest(entries, begin);
    } finally {
      harvested = begin + into.to - had; // also when it is cut short by an error
    }
    if (published != harvested) {
      progress.harvestedRelease(harvested);
      published = harvested;
    }
    return (int) (harvested - begin);
  }

  /**
   * Returns whether at least the given number of entries are waiting to be harvested.
   *
   * @param count 1 to the number of the ring's entries
   * @return whether they were, at the moment of the look
   * @throws IllegalArgumentException if {@code count} is outside that
   */
  public boolean hasAtLeast(int count) {
    if (count < 1 || count > entries.mask + 1) {
      throw new IllegalArgumentException(
          count + " entries: a ring of " + (entries.mask + 1) + " can have 1 to that many waiting");
    }
    // In order: if that one is dirty, all before it are.
    return RingLayout.isDirty(entries.flagsAcquire(harvested + count - 1));
  }

  /** {@return how many entries were harvested since the ring was made} */
  public long harvested() {
    return harvested;
  }
}
