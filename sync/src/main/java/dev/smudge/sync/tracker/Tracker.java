package dev.smudge.sync.tracker;

import dev.smudge.ring.RingPageConsumer;
import org.jspecify.annotations.Nullable;

/**
 * One way of finding writes to guest memory. A log has one tracker for the writes of the guest
 * (marks by vCPUs, KVM, the host's page tables), and any number of trackers for devices that write
 * guest memory by themselves and keep a dirty log of their own (a vhost-like device, a GPU, another
 * process). The tracker keeps its state per slot in the {@link SlotTracker} that it makes.
 *
 * <p><b>The guest's tracker</b> is set with {@code DirtyLogBuilder.tracker}. Its exceptions come
 * out of the operation that called it, and every page stays in the view of every client that had
 * it.
 *
 * <p><b>A device's tracker</b> is added with {@code DirtyLog.addTracker}, or by a {@code
 * MemoryListener}. It knows of slots only while there are clients. Its exceptions, except from
 * {@link #startLog}, go to the error handler of the log, and the pages concerned count as written:
 * a device that fails costs work, but loses no page.
 *
 * <p><b>Threads.</b> {@link #newSlot}, {@link #afterSync}, {@link TrackerVcpus#pause}, {@link
 * #detach} and {@link #close} are called without a lock, from any thread, several at once.
 * Everything else is called under the collector lock, one call at a time. A device's methods,
 * except {@link #detach} and {@link #close}, are also called in a read-side section of the log's
 * RCU. So under the lock a tracker must not wait for a vCPU, for a grace period or for a thread
 * that collects. Calls of the log or of its clients are refused there; a device may close its
 * {@link Registration}.
 *
 * <p>Source: docs/design.md 3.4; Linux {@code Documentation/virt/kvm/api.rst} 4.8 and 4.117; QEMU
 * {@code MemoryListener}.
 */
public interface Tracker {
  /**
   * Prepares to track a slot, before the change that adds it begins: allocates, and refuses a slot
   * that cannot be tracked. It has no effect that others can see; {@link SlotTracker#add} follows,
   * or {@link SlotTracker#close} if the slot is not added after all.
   *
   * @param slot the slot
   * @return this tracker's part of the slot
   * @throws IllegalArgumentException if it cannot track such a slot; the change is not made
   */
  SlotTracker newSlot(TrackedSlot slot);

  /**
   * The first client is about to start, or a device was added while there are clients. {@link
   * SlotTracker#start} of every slot follows. If it throws, the client or the device is not added.
   */
  default void startLog() {}

  /** The last client has ended; {@link SlotTracker#stop} of every slot was called before. */
  default void stopLog() {}

  /** {@return whether writes are reported in rings, which have to be reaped} */
  default boolean hasRings() {
    return false;
  }

  /** {@return whether a ring is so full that a reaper should empty it; false if there are none} */
  default boolean isAnyRingHalfFull() {
    return false;
  }

  /**
   * Harvests the rings of all vCPUs, at most one round of each; resets the harvested entries, which
   * arms their pages again; and only then hands the pages out. Called before {@link
   * SlotTracker#collect} in every fetch. If something throws, the next call hands out the pages
   * that were harvested and not handed out.
   *
   * @param sink gets the pages, in no order, some of them twice, some of slots that do not exist; a
   *     slot is named by {@link TrackedSlot#entryId} or by {@link TrackedSlot#id}
   * @return how many entries were harvested
   */
  default int reapRings(RingPageConsumer sink) {
    return 0;
  }

  /**
   * The after-sync barrier: returns when every write that was not reported, because its page was
   * not armed before this call, is visible to the caller. Called before the pages of a take are
   * read. If a device throws here, the pages are handed out, and are dirty for that client again.
   *
   * @throws dev.smudge.sync.error.VcpuTimeoutException if a vCPU does not reach a safepoint in time
   */
  default void afterSync() {}

  /**
   * A device was removed, and no other call is under way: it stops writing. A last {@link
   * SlotTracker#collect} of its slots follows, and the stop if it was started. Called by a task of
   * RCU.
   */
  default void detach() {}

  /**
   * The last call, once: for a device by a task of RCU after the grace period, for the guest's
   * tracker when its log is closed. It is not called for a device that could not be added.
   */
  default void close() {}

  /**
   * {@return the vCPUs that are this tracker's own; null if they are the log's, or there are none}
   */
  default @Nullable TrackerVcpus vcpus() {
    return null;
  }
}
