package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import java.util.concurrent.locks.ReentrantLock;

/** Dirty pages of a slot that was removed, which no slot took over. From any thread. */
public final class RemovedPages {
  private final ReentrantLock lock; // the collector lock
  private final Slot slot;
  private final PageSet dirty;

  RemovedPages(Collector collector, Slot slot) {
    this.lock = collector.lock();
    this.slot = slot;
    this.dirty = new PageSet(slot.pageCount());
  }

  /** {@return the slot that was removed} */
  public Slot slot() {
    return slot;
  }

  /** Adds pages. */
  public void add(long firstPage, long pageCount) {
    slot.checkRange(firstPage, pageCount);
    lock.lock();
    try {
      dirty.addRange(firstPage, pageCount);
    } finally {
      lock.unlock();
    }
  }

  /** {@return the pages of now, the caller's} */
  public PageSet copy() {
    PageSet copy = new PageSet(slot.pageCount());
    lock.lock();
    try {
      copy.addAll(dirty);
    } finally {
      lock.unlock();
    }
    return copy;
  }
}
