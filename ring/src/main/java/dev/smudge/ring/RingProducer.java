package dev.smudge.ring;

/**
 * The vCPU's side of a ring: reports pages. For one thread at a time; wait-free; allocates nothing.
 */
public final class RingProducer extends Padded {
  private final RingEntries entries;
  private final RingProgress progress;
  private final int size;
  private final int softSize;

  private long pushed;
  private long end; // no entry is free from here on, as far as is known

  RingProducer(RingEntries entries, RingProgress progress, int size, int reserve) {
    this.entries = entries;
    this.progress = progress;
    this.size = size;
    this.softSize = size - reserve;
    this.end = size;
  }

  /**
   * Reports a page, unless the ring is full; each call checks that.
   *
   * <p>The thread that harvests the entry sees everything that this thread stored before.
   *
   * @param slotId slot, a u32
   * @param pageIndex page in the slot, a u64
   * @return false if no entry is free: then nothing was reported, and the caller has to record the
   *     page elsewhere
   */
  public boolean push(int slotId, long pageIndex) {
    long at = pushed;
    if (at >= end && !hasRoom(at)) {
      return false;
    }
    entries.publish(at, slotId, pageIndex);
    pushed = at + 1;
    return true;
  }

  private boolean hasRoom(long at) {
    // R4.
    end = progress.resetAcquire() + size;
    return at < end;
  }

  /**
   * Returns whether no more entries than the reserve are free: the vCPU should stop at its next
   * safepoint until more are free.
   *
   * @return true if the ring is soft full
   */
  public boolean isSoftFull() {
    return pushed - (end - size) >= softSize && isSoftFullNow();
  }

  private boolean isSoftFullNow() {
    hasRoom(pushed);
    return pushed - (end - size) >= softSize;
  }

  /** {@return how many entries were pushed since the ring was made} */
  long pushed() {
    return pushed;
  }
}
