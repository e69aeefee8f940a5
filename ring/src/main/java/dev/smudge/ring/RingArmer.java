package dev.smudge.ring;

/** Arms pages again: clears their live bits, so that the next write to them is reported. */
@FunctionalInterface
public interface RingArmer {
  /**
   * Called once for adjacent entries of one word of 64 pages. It has to ignore pages that do not
   * exist: an entry may name a slot that was deleted or has shrunk, or may be forged.
   *
   * @param slotId slot, the u32 of the entries
   * @param wordIndex page index divided by 64, 0 to 2^58 - 1
   * @param mask bit n: page {@code 64 * wordIndex + n}; not 0
   */
  void arm(int slotId, long wordIndex, long mask);
}
