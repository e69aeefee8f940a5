package dev.smudge.sync;

import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.SlotSwap;
import java.util.ArrayList;
import java.util.List;

/**
 * A change of the slots of a {@link DirtyLog}, in one step: it removes slots, adds slots, and says
 * which pages of the removed slots live on in the added ones. vCPUs go on meanwhile, and at every
 * moment find either the old slots or the new.
 *
 * <p>No dirty bit is lost. A page that is carried over is dirty for each client for which it was
 * dirty before; a new page is dirty for every client; all other pages of removed slots are handed
 * to the caller ({@link RemovedSlot}). Marks made in the old slots during the change are carried
 * over too. After the swap {@link #commit} waits until every vCPU has passed a safepoint, where its
 * arm callback drops what it keeps of the old slots, and until all read-side sections that were
 * open are over. Until then every sync looks into the old slots as well.
 *
 * <p>Splitting, merging, growing and moving a slot are all such changes. For one thread. Source:
 * docs/design.md 3.6; QEMU {@code memory_region_transaction_commit}.
 */
public final class SlotChange {
  private final SlotSwap swap;
  private final List<RemovedSlot<LogSlot>> removed = new ArrayList<>();
  private boolean committed;

  SlotChange(Collector collector) {
    this.swap = new SlotSwap(collector);
  }

  /**
   * Adds a slot.
   *
   * @param slotId 0 to 32,763, not in use by then
   * @param pageCount pages, 1 to about 137 billion, and at most 2^63 - 1 bytes or units in all
   * @param pageSize a power of two, 1 to 2^30, in bytes or in units of the embedder's own (an array
   *     cell per guest byte)
   * @return the slot, for {@link #carry}; to be marked only after the commit
   * @throws IllegalArgumentException if a value is outside that; nothing is changed
   */
  public LogSlot add(int slotId, long pageCount, long pageSize) {
    checkOpen();
    return (LogSlot) swap.add(slotId, pageCount, pageSize, LogSlot::new).identity();
  }

  /**
   * Removes a slot. Its pages go to the caller, but for those that are carried.
   *
   * @param slot slot of this log
   * @return this
   * @throws IllegalArgumentException if the slot is not there, or is removed twice; nothing is
   *     changed
   */
  public SlotChange remove(LogSlot slot) {
    return remove(slot, () -> {});
  }

  /** With something to do when nobody can use the slot any more. */
  SlotChange remove(LogSlot slot, Runnable whenReleased) {
    checkOpen();
    removed.add(new RemovedSlot<>(swap.remove(slot.slot, whenReleased), slot, () -> {}));
    return this;
  }

  /**
   * Declares that pages of a removed slot and pages of an added slot are the same memory.
   *
   * @param from slot that this change removes
   * @param fromPage first page there
   * @param to slot that this change adds, of the same page size
   * @param toPage the page of {@code to} that has the memory of {@code fromPage}
   * @param pageCount pages, 0 or more
   * @return this
   * @throws IllegalArgumentException if the slots are not of this change, or of different page
   *     sizes; nothing is changed
   * @throws IndexOutOfBoundsException if the pages are not all inside both; nothing is changed
   */
  public SlotChange carry(LogSlot from, long fromPage, LogSlot to, long toPage, long pageCount) {
    checkOpen();
    Slot source = from.slot;
    swap.carry(source, fromPage, to.slot, toPage, pageCount);
    return this;
  }

  /**
   * Makes the change, all of it or nothing. If it removes something, it waits for the grace period,
   * as {@link DirtyLog#barrier} and {@link dev.smudge.sync.rcu.Rcu#synchronize} do; a vCPU may call
   * it where it holds no half-done store. Concurrent changes do not disturb each other.
   *
   * @return what was removed, in the order of the removals; the slots take no marks any more
   * @throws IllegalArgumentException if a slot to add has the number of one that stays, or of
   *     another to add, or one to remove is not there any more; nothing is changed
   * @throws IllegalStateException if the log is closed, or this was committed already; nothing is
   *     changed
   * @throws dev.smudge.sync.rcu.RcuException if it removes a slot, and is called inside a read-side
   *     section, an arm callback or a task of {@link dev.smudge.sync.rcu.Rcu#callRcu}: it would
   *     wait for itself; nothing is changed
   * @throws dev.smudge.sync.rcu.RcuTimeoutException if a vCPU does not reach a safepoint in time,
   *     or a read-side section does not end: the change is made, and no bit is lost; {@link
   *     #removed} has what was removed
   */
  public List<RemovedSlot<LogSlot>> commit() {
    return commit(() -> {}, () -> {});
  }

  /** With something to do in the middle of the swap, and before the grace period. */
  List<RemovedSlot<LogSlot>> commit(Runnable inTheSwap, Runnable afterSwap) {
    checkOpen();
    try {
      swap.commit(inTheSwap, afterSwap);
    } finally {
      committed = swap.isSwapped();
    }
    return removed();
  }

  /** {@return the removed slots, also if the commit threw after the change was made} */
  public List<RemovedSlot<LogSlot>> removed() {
    return committed ? List.copyOf(removed) : List.of();
  }

  private void checkOpen() {
    if (committed) {
      throw new IllegalStateException("this change was committed already; make another");
    }
  }
}
