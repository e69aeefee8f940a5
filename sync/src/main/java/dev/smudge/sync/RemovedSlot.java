package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;

/**
 * A slot that a {@link SlotChange} removed, and those of its dirty pages that no slot took over: no
 * client is told of them any more, so they are handed to whoever removed the slot (catalogue 18).
 *
 * <p>Dirty is what was dirty for any of the clients; everything, if there was none. What a client
 * has in an open batch when the slot is removed comes when that batch gives it back. From any
 * thread.
 */
public final class RemovedSlot {
  private final DirtyLog log;
  private final LogSlot slot;
  private final PageSet dirty; // under the collector lock

  RemovedSlot(DirtyLog log, LogSlot slot) {
    this.log = log;
    this.slot = slot;
    this.dirty = new PageSet(slot.pageCount());
  }

  /** {@return the slot that was removed} */
  public LogSlot slot() {
    return slot;
  }

  /** {@return how many pages are dirty} */
  public long dirtyPages() {
    return copy().size();
  }

  /**
   * Hands out the dirty pages as runs, ascending.
   *
   * @param consumer gets the runs; what it throws comes through
   */
  public void forEachRun(SlotRunConsumer consumer) {
    copy().forEachRun((first, count) -> consumer.accept(slot, first, count));
  }

  /**
   * Adds pages: for a writer that lands after the slot is gone and keeps its RAM (asynchronous
   * I/O).
   *
   * @param firstPage first page
   * @param pageCount pages, 0 or more
   * @throws IndexOutOfBoundsException if they are not all inside the slot; nothing is changed
   */
  public void markLate(long firstPage, long pageCount) {
    DirtyClient.checkRange(slot, firstPage, pageCount);
    log.lock().lock();
    try {
      add(firstPage, pageCount);
    } finally {
      log.lock().unlock();
    }
  }

  private PageSet copy() {
    PageSet copy = new PageSet(dirty.pageCount());
    log.lock().lock();
    try {
      copy.addAll(dirty);
    } finally {
      log.lock().unlock();
    }
    return copy;
  }

  /** Under the collector lock. */
  void add(long firstPage, long pageCount) {
    dirty.addRange(firstPage, pageCount);
  }

  @Override
  public String toString() {
    return "RemovedSlot[" + slot + "]";
  }
}
