package dev.smudge.sync.tracker;

import dev.smudge.bitmap.PageWordConsumer;

/**
 * A tracker's part of one slot: the bits of its pages. A set bit means that the page was written,
 * or is not armed yet; the next write to a page whose bit is clear is found.
 *
 * <p>The calls come in this order: {@link Tracker#newSlot}, {@link #add}, then {@link #start} and
 * {@link #stop} as clients come and go, with {@link #collect} and {@link #clear} in between, {@link
 * #remove} when the guest no longer has the slot, still {@link #collect} until the grace period is
 * over, and at last {@link #close}. All are called under the collector lock, one at a time.
 */
public interface SlotTracker {
  /**
   * The slot becomes part of the guest, with no page armed, before any vCPU can know of it. If it
   * throws, the change is undone.
   */
  default void add() {}

  /**
   * Logging starts. For the guest's tracker every page counts as set, and none needs to be armed
   * (KVM's INITIALLY_SET). From here on a device has to report every write in a {@link #collect}
   * that begins after the write. If a device throws here, every page of the slot is dirty for every
   * client at each fetch.
   */
  default void start() {}

  /** Logging stops: nothing is armed any more. */
  default void stop() {}

  /**
   * Hands out set bits: at least all bits that were set since the last call and are still set.
   * Clears none. A write that this call misses has to be found by the next call. With rings, this
   * is only for pages that are in no ring. If the guest's tracker throws, the bits that it has
   * handed out count, and the next call hands out the rest. If a device throws, every page of the
   * slot is dirty for every client, because this may be the last call for the slot.
   *
   * @param sink gets words of 64 pages, ascending; for this call alone
   */
  default void collect(PageWordConsumer sink) {}

  /**
   * Announces that all bits which the next {@link #collect} hands out are about to be cleared, as
   * in a take of all pages. A tracker that can find pages and arm them in one step may arm them in
   * that call. The bits still count as set until {@link #clear}, which may not come if something
   * throws. Does nothing by default.
   */
  default void expectClear() {}

  /**
   * Clears bits that {@link #collect} has handed out, so that the next write to those pages is
   * found. vCPUs may rely on the old state until {@link Tracker#afterSync}. If it throws, the pages
   * count as not cleared, and a later take clears them again.
   *
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range: a multiple of 64, or up to the end of the slot
   * @param bitmap bit n of it: clear page {@code firstPage + n}; the callee must not keep it
   * @throws IllegalArgumentException if the range is unaligned or not inside the slot; nothing is
   *     changed ({@link TrackedSlot#checkClearRange})
   */
  default void clear(long firstPage, long pageCount, long[] bitmap) {}

  /**
   * The guest no longer has the slot. {@link #collect} may still find writes that are under way,
   * until {@link #close}; a tracker that stopped all writers for the change keeps its last bits for
   * that call. If the change fails after this, {@link #add} follows, and {@link #start} if there is
   * a client.
   */
  default void remove() {}

  /** Nobody uses this any more. The last call, once. */
  default void close() {}
}
