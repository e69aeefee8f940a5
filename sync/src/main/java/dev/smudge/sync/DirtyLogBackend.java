package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import java.util.List;

/**
 * What catches guest writes: the role that KVM has for QEMU. One is built in, the software backend:
 * vCPUs mark what they write. {@link DirtyLog.Builder#interceptBackend} puts another in front of
 * it, {@link DirtyLog.Builder#backend} another in its place.
 *
 * <p>Threads: {@link DirtyLog} calls {@link #changeSlots}, {@link #pauseVcpus} and {@link
 * #afterSync} from any thread, several at once, without a lock: they may wait for vCPUs. It calls
 * the others under its collector lock, one at a time. An exception from any method leaves the log
 * as it was, with every page that a client had still in that client's view.
 *
 * <p>Source: design 2 (two layers) and 3.4; the ioctls of the same names in Linux {@code
 * Documentation/virt/kvm/api.rst}, 4.8 and 4.117.
 */
public interface DirtyLogBackend {
  /**
   * Runs a change of slots: what has to stop for it stops before, and goes on after. The change
   * takes the collector lock, checks whether it can be made, fetches the dirty log of the slots
   * that go and removes them, then adds and starts those that come. A log that is closed removes
   * its slots so, without a fetch; those slots that are gone already once more, if it is closed
   * again.
   *
   * @param removed slots that go
   * @param added slots that come
   * @param change calls this backend; to be run once. What it throws comes through
   */
  void changeSlots(List<LogSlot> removed, List<LogSlot> added, Runnable change);

  /**
   * Begins to know a slot, with no page armed.
   *
   * @param slot slot; its {@link LogSlot#attachment} is there already
   */
  void addSlot(LogSlot slot);

  /**
   * Ends a slot. Writes that are under way may still be found by {@link #getDirtyLog}, which is
   * called for the slot until the grace period is over; a backend that stopped all writers for the
   * change has nothing to hand out then.
   *
   * @param slot slot
   */
  void removeSlot(LogSlot slot);

  /**
   * Starts logging with every page's bit set and none armed (KVM's INITIALLY_SET).
   *
   * @param slot slot
   */
  void startLog(LogSlot slot);

  /**
   * Stops logging: nothing is armed any more.
   *
   * @param slot slot
   */
  void stopLog(LogSlot slot);

  /**
   * Harvests the rings of all vCPUs, at most one round of each; resets what was harvested, so that
   * its pages are armed again; and only then hands the pages out. Called before {@link
   * #getDirtyLog}, and not at all if the log has no rings. What was harvested and not handed out,
   * because something threw, is handed out by the next call.
   *
   * @param sink gets the pages, in no order, some of them twice, some of no slot that there is; a
   *     slot by its {@link LogSlot#id}
   * @return how many entries were harvested
   */
  int reapRings(RingPageConsumer sink);

  /**
   * Hands out bits that are set, at least all that were set since the last call and are set still;
   * clears none. With rings: of the pages that are in none of them.
   *
   * @param slot slot
   * @param sink gets the words, ascending
   */
  void getDirtyLog(LogSlot slot, PageWordConsumer sink);

  /**
   * Clears bits, so that the next write to those pages is reported. What vCPUs may still hold of
   * the old state is gone only after {@link #afterSync}.
   *
   * @param slot slot
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range: a multiple of 64, or up to the end of the slot
   * @param bitmap bit n of it: clear page {@code firstPage + n}
   * @throws IllegalArgumentException if the range is unaligned or not inside the slot; nothing is
   *     changed
   */
  void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap);

  /**
   * Returns whether a ring is so full that a reaper should empty it.
   *
   * @return whether a ring is half full; false if there are none
   */
  default boolean isAnyRingHalfFull() {
    return false;
  }

  /**
   * Stops vCPUs that are this backend's own, and no {@link LogVcpu}; waits until none of them
   * writes any more, and until another thread that has stopped them lets them go on. A thread that
   * has stopped them already may stop them again, and change slots: they go on after the last.
   *
   * @return lets them go on; called once, by any thread
   * @throws VcpuTimeoutException if one does not stop in time; none is stopped then
   */
  default Runnable pauseVcpus() {
    return () -> {};
  }

  /**
   * Returns when every write by a vCPU that was not reported because the page was not armed before
   * this call is visible to the caller: the after-sync barrier (design 3.3).
   *
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time
   */
  void afterSync();
}
