package dev.smudge.sync.embed;

import dev.smudge.sync.LogSlot;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.SlotLimits;
import dev.smudge.sync.internal.collect.SlotSwap;
import dev.smudge.sync.internal.facade.ApiAccess;
import org.jspecify.annotations.Nullable;

/**
 * A change of the slots of a log together with the embedder's map, for one thread: {@link #swap}
 * makes the change, {@link #end} gives the lock back, {@link #retire} waits until nobody can use
 * the removed slots. Call {@code end} and {@code retire} in any case, also after an error.
 */
public final class MapChange {
  private final SlotSwap swap;
  private final MapLock lock;
  private @Nullable Runnable resume;

  MapChange(Collector collector, MapLock lock, boolean removes) {
    this.lock = lock;
    this.swap = new SlotSwap(collector);
    // Before the lock: whoever holds a pause, and so these vCPUs, may be waiting for it. Not again
    // by a thread that is in a change already: the lock refuses that one.
    if (removes && !lock.isMine()) {
      resume = SlotSwap.stopVcpus(collector);
    }
    try {
      lock.lock();
    } catch (Throwable e) {
      resume();
      throw e;
    }
  }

  private void resume() {
    Runnable once = resume;
    resume = null;
    if (once != null) {
      once.run();
    }
  }

  /**
   * Refuses what no slot can be, before a change begins.
   *
   * @param slotId its number, 0 to 32,763
   * @param pageSize a power of two, {@code leastPageSize} to 2^30
   * @param leastPageSize the embedder's own limit
   * @throws IllegalArgumentException if a value is outside that
   */
  public static void checkSlot(int slotId, long pageSize, long leastPageSize) {
    SlotLimits.checkId(slotId);
    SlotLimits.checkPageSize(pageSize, leastPageSize);
  }

  /**
   * Adds a slot.
   *
   * @param slotId 0 to 32,763, not in use by then
   * @param pageCount pages
   * @param pageSize bytes per page, a power of two
   * @return the slot
   */
  public LogSlot add(int slotId, long pageCount, long pageSize) {
    ApiAccess api = ApiAccess.get();
    return (LogSlot) swap.add(slotId, pageCount, pageSize, api::newLogSlot).identity();
  }

  /**
   * Attaches the object that trackers and clients get with a slot.
   *
   * @param slot slot that this change adds
   * @param object what to attach
   */
  public void attach(LogSlot slot, Object object) {
    slot(slot).attach(object);
  }

  /**
   * Removes a slot.
   *
   * @param slot slot of the log
   * @param whenReleased called once, by any thread and without a lock, when no vCPU, no read-side
   *     section and no open batch can use the slot any more
   * @return its dirty pages that no slot takes over; none until the swap
   */
  public LostPages remove(LogSlot slot, Runnable whenReleased) {
    return new LostPages(swap.remove(slot(slot), whenReleased));
  }

  /**
   * Declares that pages of a removed slot and pages of an added slot are the same memory.
   *
   * @param from slot that this change removes
   * @param fromPage first page there
   * @param to slot that this change adds, of the same page size
   * @param toPage the page of {@code to} that has the memory of {@code fromPage}
   * @param pageCount pages
   */
  public void carry(LogSlot from, long fromPage, LogSlot to, long toPage, long pageCount) {
    swap.carry(slot(from), fromPage, slot(to), toPage, pageCount);
  }

  private static Slot slot(LogSlot slot) {
    return ApiAccess.get().slot(slot);
  }

  /**
   * Makes the change, all of it or nothing; then vCPUs that are the tracker's own go on.
   *
   * @param publish publishes the embedder's map: called in the middle, under the collector lock,
   *     where the old slots still take marks and the new ones take them already. Must not wait
   */
  public void swap(Runnable publish) {
    swap.checkMayCommit();
    swap.prepare();
    try {
      swap.swap(publish);
    } finally {
      resume();
    }
  }

  /** Gives the lock back, once; vCPUs that are stopped still go on. */
  public void end() {
    try {
      resume();
    } finally {
      if (lock.isMine()) {
        lock.unlock();
      }
    }
  }

  /**
   * If slots were removed: waits for the grace period, after which they are released. If that takes
   * too long, this can be called again, and waits again; meanwhile what {@link #remove} has
   * returned stays good, and collects what is still marked. If it is not called again, the slots
   * are released by the next change that waits for its own grace period, or by a task of RCU.
   *
   * @throws dev.smudge.sync.rcu.RcuTimeoutException if it takes too long
   */
  public void retire() {
    swap.retireAfterGracePeriod();
  }
}
