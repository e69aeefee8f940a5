package dev.smudge.sync.internal.collect;

import java.util.concurrent.atomic.LongAdder;

/** Marks what threads without a vCPU have written: device models, DMA, loaders. */
public final class HostWriter {
  private final SlotTable slots;
  private final Seal seal;
  private final LongAdder pages = new LongAdder();

  /** Makes one for the slots of a log. */
  public HostWriter(SlotTable slots, Seal seal) {
    this.slots = slots;
    this.seal = seal;
  }

  /**
   * Marks bytes that were written. From any thread.
   *
   * @return whether watches have to be told
   */
  public boolean mark(Slot slot, long byteOffset, long length) {
    slot.checkTakesMarks(slots);
    boolean watched = !slot.isNothing(byteOffset, length) && markBytes(slot, byteOffset, length);
    slot.checkTakesMarks(slots); // T2: again, after the mark
    seal.report(slot, byteOffset);
    return watched;
  }

  /**
   * As {@link #mark}, of 1 byte or more, in a read-side section in which the slot was found: it is
   * not removed before that is over.
   */
  public boolean markInSection(Slot slot, long byteOffset, long length) {
    boolean watched = markBytes(slot, byteOffset, length);
    seal.report(slot, byteOffset);
    return watched;
  }

  private boolean markBytes(Slot slot, long byteOffset, long length) {
    long first = byteOffset >>> slot.pageShift();
    long last = (byteOffset + length - 1) >>> slot.pageShift();
    long count = last - first + 1;
    SlotWatches watches = slot.watches();
    boolean watched = watches.hold(first, last);
    long changed = watched ? watches.mark(first, count) : slot.hostMarks().mark(first, count);
    if (changed != 0) {
      pages.add(changed);
    }
    // ORDER W2 volatile: after the mark, which is an atomic operation (B7), and so after the write.
    // Pairs with the bit of a watch, set before the barrier in SlotWatch.clearLive, which has full
    // fences. If weaker: this thread finds no watch, and who armed it reads the page without the
    // write.
    return watched || watches.hold(first, last);
  }

  /** {@return how many pages went from clean to dirty} */
  public long dirtyPages() {
    return pages.sum();
  }
}
