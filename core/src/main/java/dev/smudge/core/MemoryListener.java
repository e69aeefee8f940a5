package dev.smudge.core;

import dev.smudge.sync.tracker.Tracker;
import org.jspecify.annotations.Nullable;

/**
 * Follows the memory map of a {@link GuestMemory}, for a device model that accesses guest RAM by
 * itself, or another backend. By default every method does nothing.
 *
 * <p><b>Changes of the map.</b> Between {@link #begin} and {@link #commit}, after the new map is in
 * place, the listener is told of every slot that goes, the highest address first, then of those
 * that stay or are added, the lowest first. For one slot, listeners of low priority are called
 * first, and last if the slot goes.
 *
 * <p><b>If the listener has its own dirty log</b>, it returns it from {@link #tracker}. A listener
 * that stops writing to a slot in {@link #regionDel} loses no write: its log of the slot is still
 * read until the grace period is over, so calls of that {@link dev.smudge.sync.tracker.SlotTracker}
 * may come after {@code regionDel}. While there are clients, the start of a slot's log comes before
 * its {@link #regionAdd}. {@link dev.smudge.sync.tracker.TrackedSlot#attachment} is the {@link
 * GuestSlot}.
 *
 * <p><b>Threads.</b> The thread that makes the change calls these methods, one change at a time, in
 * a read-side section of the log's RCU. Any thread that collects calls those of the tracker,
 * perhaps at the same time. An exception of a method goes to the error handler of the dirty log,
 * and the other listeners are called. A method must not change the map, nor register a listener of
 * this memory: that fails at once. It may close registrations, its own too.
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
   * Returns the tracker that finds this listener's own writes to guest memory. Called once, as the
   * listener is registered.
   *
   * @return its tracker; null if it writes nothing, or marks its writes
   */
  default @Nullable Tracker tracker() {
    return null;
  }

  /** The last call, once: nothing else is under way or comes. */
  default void close() {}
}
