package dev.smudge.ring;

/**
 * The collector's side of a ring: takes note of dirty entries, and flags them RESET, so that a
 * reset gives them back. For one thread at a time; wait-free; allocates nothing.
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
   * Harvests, in the order of their push, the entries that are dirty, until there is none, or the
   * pages have no room for more. At most one round of the ring, however fast its producer is.
   *
   * @param into gets the pages, behind those that it has from this ring already; what they are can
   *     be read after their reset
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
   * Returns whether at least so many entries are waiting to be harvested.
   *
   * @param count 1 to the number of the ring's entries
   * @return whether there are; as old as the look
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
