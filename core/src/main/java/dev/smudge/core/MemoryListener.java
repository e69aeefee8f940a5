package dev.smudge.core;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtySource;

/**
 * Follows the memory map of a {@link GuestMemory}, and joins in its dirty logging: a device model
 * that accesses guest RAM by itself, a backend of another kind. By default every method does
 * nothing.
 *
 * <p>A change of the map is told between {@link #begin} and {@link #commit}, after the swap: every
 * slot that goes, the highest address first, then those that stay or come, the lowest first. For
 * one slot, listeners of low priority are called first, and last where it goes. Who stops writing
 * to a slot in {@link #regionDel} loses no write: the log of the slot is still read until the grace
 * period is over, so {@link #logSync} and {@link #logStop} of a slot may come after it. While there
 * are clients, {@link #logStart} of a slot comes before its {@link #regionAdd}.
 *
 * <p>Threads: begin to commit in the thread that makes the change, one change at a time; the log
 * methods in whatever thread collects, perhaps at the same time, under the rules of {@link
 * DirtySource}. All of them are called in a read-side section, but for those that a listener gets
 * as it leaves. What a method throws goes to the error handler of the dirty log, but for {@link
 * #logGlobalStart}; the other listeners are called. A method must not change the map, nor register
 * a listener of this memory: that fails at once. It may unregister listeners, itself too.
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
   * See {@link DirtySource#logStart}.
   *
   * @param slot slot
   */
  default void logStart(GuestSlot slot) {}

  /**
   * See {@link DirtySource#logStop}.
   *
   * @param slot slot
   */
  default void logStop(GuestSlot slot) {}

  /**
   * See {@link DirtySource#logSync}.
   *
   * @param slot slot
   * @param sink gets the words, for this call alone
   */
  default void logSync(GuestSlot slot, PageWordConsumer sink) {}

  /**
   * See {@link DirtySource#logClear}.
   *
   * @param slot slot
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range: a multiple of 64, or up to the end of the slot
   * @param bitmap bit n of it: clear page {@code firstPage + n}
   */
  default void logClear(GuestSlot slot, long firstPage, long pageCount, long[] bitmap) {}

  /** Logging is about to start; may fail. See {@link DirtySource#startLog}. */
  default void logGlobalStart() {}

  /** Logging has stopped. See {@link DirtySource#stopLog}. */
  default void logGlobalStop() {}

  /** See {@link DirtySource#afterSync}. */
  default void afterSync() {}

  /** The last call, once: nothing else is under way or comes. */
  default void close() {}
}
