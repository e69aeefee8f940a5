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

  /** Marks bytes that were written. From any thread. */
  public void mark(Slot slot, long byteOffset, long length) {
    slot.checkTakesMarks(slots);
    if (!slot.isNothing(byteOffset, length)) {
      long first = byteOffset >>> slot.pageShift();
      long last = (byteOffset + length - 1) >>> slot.pageShift();
      long changed = slot.hostMarks().mark(first, last - first + 1);
      if (changed != 0) {
        pages.add(changed);
      }
    }
    slot.checkTakesMarks(slots); // T2: again, after the mark
    seal.report(slot, byteOffset);
  }

  /** {@return how many pages went from clean to dirty} */
  public long dirtyPages() {
    return pages.sum();
  }
}
