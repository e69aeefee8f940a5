package dev.smudge.core;

import dev.smudge.sync.tracker.Tracker;
import org.jspecify.annotations.Nullable;

/**
 * Follows the memory map of a {@link GuestMemory}: a device model that accesses guest RAM by
 * itself, a backend of another kind. By default every method does nothing.
 *
 * <p><b>Changes of the map</b> are told between {@link #begin} and {@link #commit}, after the new
 * map is in place: every slot that goes, the highest address first, then those that stay or come,
 * the lowest first. For one slot, listeners of low priority are called first, and last where it
 * goes.
 *
 * <p><b>A dirty log of its own</b> joins in through {@link #tracker}. A listener that stops writing
 * to a slot in {@link #regionDel} loses no write: its log of the slot is still read until the grace
 * period is over, so calls of that {@link dev.smudge.sync.tracker.SlotTracker} may come after it.
 * While there are clients, the start of a slot's log comes before its {@link #regionAdd}. What a
 * tracker finds in {@link dev.smudge.sync.tracker.TrackedSlot#attachment} is the {@link GuestSlot}.
 *
 * <p><b>Threads.</b> These methods are called by the thread that makes the change, one change at a
 * time, in a read-side section of the log's RCU; those of the tracker by whatever thread collects,
 * perhaps at the same time. What a method throws goes to the error handler of the dirty log, and
 * the other listeners are called. A method must not change the map, nor register a listener of this
 * memory: that fails at once. It may close registrations, its own too.
 */
public interface MemoryListener {
  /** A change of the map, or the replay of it, begins. */
  default void begin() {}

  /**
   * A slot is there.
   *
   * @param slot slot
   */
  default void regionAdd(GuestSlot slot) {}

  /**
   * A slot is not there any more; it must not be accessed after return.
   *
   * @param slot slot
   */
  default void regionDel(GuestSlot slot) {}

  /**
   * A slot stays as it is in this change.
   *
   * @param slot slot
   */
  default void regionUnchanged(GuestSlot slot) {}

  /** The change ends. */
  default void commit() {}

  /**
   * Returns what finds the writes that this listener makes to guest memory by itself. Asked once,
   * as the listener is registered.
   *
   * @return its tracker; null if it writes nothing, or marks what it writes
   */
  default @Nullable Tracker tracker() {
    return null;
  }

  /** The last call, once: nothing else is under way or comes. */
  default void close() {}
}
