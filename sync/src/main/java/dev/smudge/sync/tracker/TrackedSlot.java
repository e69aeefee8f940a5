package dev.smudge.sync.tracker;

import org.jspecify.annotations.Nullable;

/**
 * A memory slot, as a tracker sees it. Immutable.
 *
 * @param id the slot's number, 0 to 32,763; a later slot may have the same number
 * @param entryId the number that entries of software rings carry for this slot. It differs from the
 *     numbers of recently removed slots; the upper 16 bits, where KVM has an address space, are
 *     never 0
 * @param pageCount pages, at least 1
 * @param pageSize size of a page, a power of two, in bytes or in the embedder's own units
 * @param attachment what the embedder attached to the slot, a {@code GuestSlot} with its RAM in a
 *     {@code GuestMemory}; null if nothing
 */
public record TrackedSlot(
    int id, int entryId, long pageCount, long pageSize, @Nullable Object attachment) {

  /**
   * Refuses a range that {@link SlotTracker#clear} has to refuse, by KVM's rule for {@code
   * KVM_CLEAR_DIRTY_LOG}. Compares without adding, so that no pair of values wraps round.
   *
   * @param firstPage first page of the range
   * @param count pages of the range
   * @param bitmap one bit per page
   * @throws IllegalArgumentException if the first page is not a multiple of 64, if the count is
   *     neither a multiple of 64 nor reaches to the end of the slot, if the range is not inside the
   *     slot, or if the bitmap is too short
   */
  public void checkClearRange(long firstPage, long count, long[] bitmap) {
    boolean inside =
        firstPage >= 0 && firstPage <= pageCount && count >= 0 && count <= pageCount - firstPage;
    if (!inside || (firstPage & 63) != 0 || ((count & 63) != 0 && count != pageCount - firstPage)) {
      throw new IllegalArgumentException(
          "cannot clear "
              + count
              + " pages from page "
              + firstPage
              + ": the first must be a multiple of 64 inside slot "
              + id
              + " of "
              + pageCount
              + " pages, the count a multiple of 64 or up to the slot's end");
    }
    if (bitmap.length < (count + 63) >>> 6) {
      throw new IllegalArgumentException(
          "a bitmap of " + bitmap.length + " words is too short for " + count + " pages");
    }
  }
}
