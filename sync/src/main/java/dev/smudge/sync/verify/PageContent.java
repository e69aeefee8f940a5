package dev.smudge.sync.verify;

import dev.smudge.sync.tracker.TrackedSlot;

/**
 * Reads guest RAM for the verify mode. Called under the collector lock, by the thread that takes,
 * while the guest may be writing: it must not wait for a vCPU, nor call the log or its clients.
 */
@FunctionalInterface
public interface PageContent {
  /**
   * Copies the content of a page. If it throws, the slot is not verified at that take, and the
   * error handler of the log is told.
   *
   * @param slot the slot
   * @param pageIndex the page
   * @param page gets the content: one byte for each byte, or unit, of the page
   */
  void read(TrackedSlot slot, long pageIndex, byte[] page);

  /**
   * Returns whether a write to the page is under way that is marked only when all of it has landed,
   * such as asynchronous I/O. The verify mode does not name such a page before that.
   *
   * @param slot the slot
   * @param pageIndex the page
   * @return whether such a write to the page is under way; a mark of one that has ended was made
   *     before this returns false
   */
  default boolean isBeingWritten(TrackedSlot slot, long pageIndex) {
    return false;
  }
}
