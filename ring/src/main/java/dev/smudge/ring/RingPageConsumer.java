package dev.smudge.ring;

/** Receives pages that were harvested. */
@FunctionalInterface
public interface RingPageConsumer {
  /**
   * Called once an entry.
   *
   * @param slotId slot, a u32 as it stood in the entry: perhaps of no slot that there is
   * @param pageIndex page in the slot, a u64 as it stood in the entry: perhaps outside the slot
   */
  void accept(int slotId, long pageIndex);
}
