package dev.smudge.ring;

/** Receives pages that were harvested. */
@FunctionalInterface
public interface RingPageConsumer {
  /**
   * Called once per entry.
   *
   * @param slotId slot, the u32 of the entry; there may be no such slot
   * @param pageIndex page in the slot, the u64 of the entry; may be outside the slot
   */
  void accept(int slotId, long pageIndex);
}
