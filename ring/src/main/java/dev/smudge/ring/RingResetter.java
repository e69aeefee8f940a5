package dev.smudge.ring;

/**
 * The reset of a ring: re-arms the pages of harvested entries and gives the entries back to the
 * producer. From any thread; concurrent resets wait for one another. Allocates nothing.
 */
public final class RingResetter extends Padded {
  private static final int CHUNK = 64;

  private final RingEntries entries;
  private final RingProgress progress;

  // Under this.
  private final JoiningArmer joining = new JoiningArmer();
  private long done; // armed, from here on to be given back
  private long given; // given back
  private boolean arming;

  RingResetter(RingEntries entries, RingProgress progress) {
    this.entries = entries;
    this.progress = progress;
  }

  /**
   * Resets the entries that are flagged RESET, in the order of their push, and stops at the first
   * that is not; an entry that is flagged meanwhile is reset now or by the next call. At most one
   * round of the ring, however fast the others are. Adjacent entries for pages of one 64-page word
   * are armed in one step, at most 64 of them, and before they are given back.
   *
   * @param armer arms the pages; not called if there is nothing to reset. If it throws, the
   *     exception comes through, and up to 64 entries before that one are armed once more by the
   *     next reset
   * @return how many entries were given back; may differ from the number that was harvested
   * @throws IllegalStateException if the armer calls it; nothing is changed
   */
  public synchronized int reset(RingArmer armer) {
    if (arming) {
      throw new IllegalStateException(
          "reset was called from the armer of a reset of the same ring");
    }
    arming = true;
    try {
      return resetRound(armer);
    } finally {
      arming = false;
    }
  }

  private int resetRound(RingArmer armer) {
    int size = entries.mask + 1;
    int count = giveBack(); // what a reset that was cut short has armed
    while (count < size) {
      int most = Math.min(CHUNK, size - count);
      int row = entries.inRow(done, most);
      int found = row == most ? entries.arm(done, most, armer) : armAcrossEnd(row, most, armer);
      if (found == 0) {
        break;
      }
      done += found;
      count += giveBack();
      if (found < most) {
        break;
      }
    }
    return count;
  }

  /**
   * Gives back what is armed. Until the count is released, the entries are the resetter's: after an
   * error the next reset frees them all once more.
   */
  private int giveBack() {
    int count = (int) (done - given);
    if (count > 0) {
      int row = entries.inRow(given, count);
      entries.free(given, row);
      entries.free(given + row, count - row);
      progress.resetRelease(done);
      given = done;
    }
    return count;
  }

  private int armAcrossEnd(int row, int most, RingArmer armer) {
    joining.begin(armer);
    int found = entries.arm(done, row, joining);
    if (found == row) {
      found += entries.arm(done + row, most - row, joining);
    }
    joining.end();
    return found;
  }

  /**
   * Notes the entries that the kernel has reset by {@code KVM_RESET_DIRTY_RINGS}. Call it after
   * that call has returned, instead of {@link #reset}.
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
    given = done;
    progress.resetRelease(done);
    return (int) (done - begin);
  }

  /** Arms in one step what it gets in two: the ring's last entries are next to its first. */
  private static final class JoiningArmer implements RingArmer {
    private RingArmer armer = this;
    private int slotId;
    private long wordIndex;
    private long mask;

    void begin(RingArmer armer) {
      this.armer = armer;
      mask = 0;
    }

    @Override
    public void arm(int slotId, long wordIndex, long mask) {
      if (slotId != this.slotId || wordIndex != this.wordIndex) {
        end();
        this.slotId = slotId;
        this.wordIndex = wordIndex;
        this.mask = 0;
      }
      this.mask |= mask;
    }

    void end() {
      if (mask != 0) {
        armer.arm(slotId, wordIndex, mask);
      }
    }
  }
}
