package dev.smudge.ring;

/**
 * The reset of a ring: re-arms the pages of harvested entries and gives the entries back to the
 * producer. From any thread; concurrent resets wait for one another. Allocates nothing.
 */
public final class RingResetter extends Padded {
  private static final int WORD_SHIFT = 6;
  private static final int CHUNK = 64;

  private final RingEntries entries;
  private final RingProgress progress;

  // Under this.
  private final int[] slotIds = new int[CHUNK];
  private final long[] pages = new long[CHUNK];
  private long done;
  private boolean arming;

  RingResetter(RingEntries entries, RingProgress progress) {
    this.entries = entries;
    this.progress = progress;
  }

  /**
   * Resets, in the order of their push, the entries that are flagged RESET, and stops at the first
   * that is not; what is flagged while it runs is reset now or by the next call. At most one round
   * of the ring, however fast the others are. Entries next to one another that name pages of one
   * 64-page word are armed in one step, 64 of them at most, and before they are given back.
   *
   * @param armer arms the pages; not called if there is nothing to reset. If it throws, the
   *     exception comes through, and up to 64 entries before that one are armed once more by the
   *     next reset
   * @return how many entries were given back; it need not be how many were harvested
   * @throws IllegalStateException if the armer calls it; nothing is changed
   */
  public synchronized int reset(RingArmer armer) {
    if (arming) {
      throw new IllegalStateException("a reset from the armer of a reset of the same ring");
    }
    int size = entries.mask + 1;
    int count = 0;
    while (count < size) {
      int most = Math.min(CHUNK, size - count);
      int found = entries.copyHarvested(done, most, slotIds, pages);
      if (found == 0) {
        break;
      }
      arm(armer, found);
      entries.free(done, found);
      done += found;
      progress.resetRelease(done);
      count += found;
      if (found < most) {
        break;
      }
    }
    return count;
  }

  private void arm(RingArmer armer, int count) {
    arming = true;
    try {
      armWords(armer, count);
    } finally {
      arming = false;
    }
  }

  private void armWords(RingArmer armer, int count) {
    int slotId = slotIds[0];
    long word = pages[0] >>> WORD_SHIFT;
    long mask = 1L << pages[0];
    for (int i = 1; i < count; i++) {
      if (slotIds[i] != slotId || pages[i] >>> WORD_SHIFT != word) {
        armer.arm(slotId, word, mask);
        slotId = slotIds[i];
        word = pages[i] >>> WORD_SHIFT;
        mask = 0;
      }
      mask |= 1L << pages[i];
    }
    armer.arm(slotId, word, mask);
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
    // R2 acquire; the partner is external: kvm_dirty_gfn_set_invalid.
    while (done < end && !RingLayout.isHarvested(entries.flagsAcquire(done))) {
      done++;
    }
    progress.resetRelease(done);
    return (int) (done - begin);
  }
}
