package dev.smudge.sync;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * A change of the slots of a {@link DirtyLog}, in one step: slots that go, slots that come, and
 * which pages of those that go live on in those that come. vCPUs go on meanwhile, and at no moment
 * find neither the old slots nor the new.
 *
 * <p>No dirty bit is lost. A page that is carried over is dirty for each client for which it was
 * dirty before; a new page is dirty for every client; the rest of what goes is handed to the caller
 * ({@link RemovedSlot}). What is marked in the old slots while the change is under way, is carried
 * over too: after the swap {@link #commit} waits until every vCPU has passed a safepoint, whose arm
 * callback drops what the vCPU holds of the old slots, and until the read-side sections of then are
 * over. All that time every sync looks into the old slots as well.
 *
 * <p>Splitting, merging, growing and moving a slot are all of this form. For one thread. Source:
 * design 3.6; QEMU {@code memory_region_transaction_commit}.
 */
public final class SlotChange {
  private final DirtyLog log;
  private final Set<LogSlot> added = new LinkedHashSet<>();
  private final Map<LogSlot, RemovedSlot> removed = new HashMap<>();
  private final Map<LogSlot, Runnable> released = new HashMap<>(); // what runs when it is free
  private final List<LogSlot> removals = new ArrayList<>();
  private final Map<LogSlot, List<LeavingSlot.Carry>> carries = new HashMap<>();
  private boolean committed;

  SlotChange(DirtyLog log) {
    this.log = log;
  }

  /**
   * Adds a slot.
   *
   * @param slotId 0 to 32,763, not in use by then
   * @param pageCount pages, 1 to about 137 billion
   * @param pageSize a power of two, 1 to 2^30, in bytes or in units of the embedder's own (an array
   *     cell a guest byte)
   * @return the slot, for {@link LogSlot#attach} and {@link #carry}; to be marked only after the
   *     commit
   * @throws IllegalArgumentException if a value is outside that; nothing is changed
   */
  public LogSlot add(int slotId, long pageCount, long pageSize) {
    checkOpen();
    LogSlot slot = log.newSlot(slotId, pageCount, pageSize);
    added.add(slot);
    return slot;
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

  /**
   * As {@link #remove(LogSlot)}, for a slot whose RAM is to be given up.
   *
   * @param slot slot of this log
   * @param whenReleased called once, by any thread and without a lock, when no vCPU, no read-side
   *     section and no open batch can use the slot any more
   * @return this
   * @throws IllegalArgumentException if the slot is not there, or is removed twice; nothing is
   *     changed
   */
  public SlotChange remove(LogSlot slot, Runnable whenReleased) {
    checkOpen();
    log.checkOwn(slot);
    Objects.requireNonNull(whenReleased, "whenReleased");
    if (removed.putIfAbsent(slot, new RemovedSlot(log, slot)) != null) {
      throw new IllegalArgumentException(slot + " is removed by this change already");
    }
    released.put(slot, whenReleased);
    removals.add(slot);
    return this;
  }

  /**
   * Returns what {@link #commit} hands out for a slot, before it does, or where it throws after the
   * change was made.
   *
   * @param slot slot that this change removes
   * @return without dirty pages until the commit
   * @throws IllegalArgumentException if this change does not remove the slot
   */
  public RemovedSlot removed(LogSlot slot) {
    RemovedSlot result = removed.get(slot);
    if (result == null) {
      throw new IllegalArgumentException(slot + " is not removed by this change");
    }
    return result;
  }

  /**
   * Says that pages of a slot that goes are pages of one that comes: the same memory.
   *
   * @param from slot that this change removes
   * @param fromPage first page there
   * @param to slot that this change adds, of the same page size
   * @param toPage what that page is there
   * @param pageCount pages, 0 or more
   * @return this
   * @throws IllegalArgumentException if the slots are not of this change, or of different page
   *     sizes; nothing is changed
   * @throws IndexOutOfBoundsException if the pages are not all inside both; nothing is changed
   */
  public SlotChange carry(LogSlot from, long fromPage, LogSlot to, long toPage, long pageCount) {
    checkOpen();
    if (!removed.containsKey(from)) {
      throw new IllegalArgumentException(from + " is not removed by this change");
    }
    if (!added.contains(to)) {
      throw new IllegalArgumentException(to + " is not added by this change");
    }
    if (from.pageShift() != to.pageShift()) {
      throw new IllegalArgumentException(
          "pages of "
              + from.pageSize()
              + " and of "
              + to.pageSize()
              + " cannot be the same: "
              + from
              + ", "
              + to);
    }
    DirtyClient.checkRange(from, fromPage, pageCount);
    DirtyClient.checkRange(to, toPage, pageCount);
    if (pageCount > 0) {
      carries
          .computeIfAbsent(from, slot -> new ArrayList<>())
          .add(new LeavingSlot.Carry(fromPage, pageCount, to, toPage));
    }
    return this;
  }

  /**
   * As {@link #commit(Runnable, Runnable)}, for an embedder that keeps no map of slots of its own.
   *
   * @return what was removed
   */
  public List<RemovedSlot> commit() {
    return commit(() -> {}, () -> {});
  }

  /**
   * Makes the change, all of it or nothing. If it removes something, it waits for the grace period,
   * as {@link DirtyLog#barrier} and {@link Rcu#synchronize} do; a vCPU may call it where it holds
   * no half-done store. Concurrent changes do not disturb each other.
   *
   * @param swap called in the middle, where the old slots still take marks and the new ones take
   *     them already: publishes the embedder's own map. Must not wait, nor call the log
   * @param afterSwap called after that, before the grace period: tells others of the change, so
   *     that they stop writing to what was removed. What it throws comes out when all is done
   * @return what was removed, in the order of the removals; the slots take no marks any more
   * @throws IllegalArgumentException if a slot to add has the number of one that stays, or of
   *     another to add, or one to remove is not there any more; nothing is changed
   * @throws IllegalStateException if the log is closed, or this was committed already; nothing is
   *     changed
   * @throws RcuException if it removes a slot, and is called inside a read-side section, an arm
   *     callback or a task of {@link Rcu#callRcu}: it would wait for itself; nothing is changed
   * @throws RcuTimeoutException if a vCPU does not reach a safepoint in time, or a read-side
   *     section does not end: the change is made, and no bit is lost; what was removed is released
   *     later, by {@link Rcu#reclaimer} or {@link Rcu#barrier}
   */
  public List<RemovedSlot> commit(Runnable swap, Runnable afterSwap) {
    checkOpen();
    Set<Integer> ids = new HashSet<>();
    for (LogSlot slot : added) {
      if (!ids.add(slot.id())) {
        throw new IllegalArgumentException("slot " + slot.id() + " is added twice");
      }
    }
    List<LeavingSlot> leaving = new ArrayList<>();
    for (LogSlot slot : removals) {
      leaving.add(
          new LeavingSlot(
              removed(slot),
              carries.getOrDefault(slot, List.of()),
              Objects.requireNonNull(released.get(slot))));
    }
    new SlotSwap(log, leaving, List.copyOf(added), swap, afterSwap).run();
    committed = true;
    return leaving.stream().map(LeavingSlot::removed).toList();
  }

  private void checkOpen() {
    if (committed) {
      throw new IllegalStateException("this change was committed already; make another");
    }
  }
}
