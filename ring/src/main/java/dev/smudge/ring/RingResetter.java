package dev.smudge.ring;

/**
 * The reset of a ring: re-arms the pages of harvested entries and gives the entries back to the
 * producer. From any thread; concurrent resets wait for one another. Allocates nothing.
 */
public final class RingResetter extends Padded {
  private static final int WORD_SHIFT = 6;

  private final RingEntries entries;
  private final RingProgress progress;
  private final int mask;

  private long done; // under this

  RingResetter(RingEntries entries, RingProgress progress, int size) {
    this.entries = entries;
    this.progress = progress;
    this.mask = size - 1;
  }

  /**
   * Resets, in the order of their push, the entries that are flagged RESET, and stops at the first
   * that is not; what is flagged while it runs is reset now or by the next call. At most one round
   * of the ring, however fast the others are. Entries next to one another that name pages of one
   * 64-page word are armed in one step, and before they are given back.
   *
   * @param armer arms the pages; not called if there is nothing to reset. If it throws, the
   *     exception comes through; the entries of that call and those behind it are reset by the next
   *     reset
   * @return how many entries were given back; neither more nor less than were harvested is to be
   *     relied on
   */
  public synchronized int reset(RingArmer armer) {
    RingEntries from = entries;
    long begin = done;
    long end = begin + mask + 1;
    long at = begin;
    long header = from.headerAcquire((int) at & mask);
    while (at < end && RingLayout.isHarvested(RingEntries.flags(header))) {
      int slotId = RingEntries.slotId(header);
      long page = from.page((int) at & mask);
      long word = page >>> WORD_SHIFT;
      long pages = 1L << page;
      long next = at + 1;
      // The entry behind the last one of a round is the first: harvested, and not looked at twice.
      for (; next < end; next++) {
        header = from.headerAcquire((int) next & mask);
        if (!RingLayout.isHarvested(RingEntries.flags(header))
            || RingEntries.slotId(header) != slotId) {
          break;
        }
        page = from.page((int) next & mask);
        if (page >>> WORD_SHIFT != word) {
          break;
        }
        pages |= 1L << page;
      }
      armer.arm(slotId, word, pages);
      for (; at < next; at++) {
        from.free((int) at & mask);
      }
      done = at;
      progress.resetRelease(at);
    }
    return (int) (at - begin);
  }

  /**
   * Takes note of the entries that another has reset: the kernel, by {@code KVM_RESET_DIRTY_RINGS}.
   * Call it after that call has returned, in place of {@link #reset}.
   *
   * @return how many more of the harvested entries have been given back
   */
  public synchronized int noteResets() {
    long begin = done;
    long end = progress.harvestedAcquire();
    long at = begin;
    // R2: the partner is external, kvm_dirty_gfn_set_invalid and the system call's return.
    while (at < end
        && !RingLayout.isHarvested(RingEntries.flags(entries.headerAcquire((int) at & mask)))) {
      at++;
    }
    done = at;
    progress.resetRelease(at);
    return (int) (at - begin);
  }
}
