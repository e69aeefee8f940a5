package dev.smudge.sync.tracker;

import dev.smudge.bitmap.PageWordConsumer;

/**
 * A tracker's part of one slot: the bits of its pages. A bit that is set says that the page was
 * written, or is not armed yet; the next write to a page whose bit is clear is found.
 *
 * <p>A life: {@link Tracker#newSlot}, {@link #add}, then {@link #start} and {@link #stop} as
 * clients come and go, {@link #collect} and {@link #clear} in between, {@link #remove} when the
 * guest has the slot no more, still {@link #collect} until the grace period is over, at last {@link
 * #close}. All are called under the collector lock, one at a time.
 */
public interface SlotTracker {
  /**
   * The slot becomes part of the guest, with no page armed, before any vCPU can know of it. If it
   * throws, the change is undone.
   */
  default void add() {}

  /**
   * Logging starts. For the guest's tracker every page counts as set, and none needs to be armed
   * (KVM's INITIALLY_SET). A device tells from here on of every write by a {@link #collect} that
   * begins after the write; if it throws, every page of the slot is dirty for every client at each
   * fetch.
   */
  default void start() {}

  /** Logging stops: nothing is armed any more. */
  default void stop() {}

  /**
   * Hands out bits that are set: at least all that were set since the last call and are set still.
   * Clears none. What is written after it has looked is found by the next call. With rings: of the
   * pages that are in none of them. If the guest's tracker throws, what it has handed out counts,
   * and the rest comes the next time. If a device throws, every page of the slot is dirty for every
   * client, since it may be the last call for this slot.
   *
   * @param sink gets words of 64 pages, ascending; for this call alone
   */
  default void collect(PageWordConsumer sink) {}

  /**
   * Says that everything which the next {@link #collect} hands out is about to be cleared, as in a
   * take of all pages: a tracker that can find pages and arm them in one step may arm them in that
   * call. They count as set until {@link #clear} all the same, which may fail to come, if something
   * throws. Does nothing by default.
   */
  default void expectClear() {}

  /**
   * Clears bits that {@link #collect} has handed out, so that the next write to those pages is
   * found. What vCPUs may still hold of the old state is gone only after {@link Tracker#afterSync}.
   * If it throws, the pages count as not cleared, and a later take clears them again.
   *
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range: a multiple of 64, or up to the end of the slot
   * @param bitmap bit n of it: clear page {@code firstPage + n}; the callee must not keep it
   * @throws IllegalArgumentException if the range is unaligned or not inside the slot; nothing is
   *     changed ({@link TrackedSlot#checkClearRange})
   */
  default void clear(long firstPage, long pageCount, long[] bitmap) {}

  /**
   * The guest has the slot no more. Writes that are under way may still be found by {@link
   * #collect} until {@link #close}; a tracker that stopped all writers for the change keeps what it
   * found last for that call. If the change fails after this, {@link #add} follows, and {@link
   * #start} if there is a client.
   */
  default void remove() {}

  /** Nobody uses this any more. The last call, once. */
  default void close() {}
}
