package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;

/** Dirty pages of a slot that was removed, which no slot took over. From any thread. */
public final class RemovedPages {
  private final Collector collector;
  private final CollectorLock lock;
  private final Slot slot;
  private final PageSet dirty;

  RemovedPages(Collector collector, Slot slot) {
    this.collector = collector;
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
    lock.run(
        new Runnable() { // no lambda over longs: it may stay unlinked (design.md 3.8)
          @Override
          public void run() {
            dirty.addRange(firstPage, pageCount);
          }
        });
  }

  /** {@return the pages of now, the caller's} */
  public PageSet copy() {
    PageSet copy = new PageSet(slot.pageCount());
    lock.run(() -> {
      collector.fetchIfLeaving(slot); // an error has cut short what follows the grace period
      copy.addAll(dirty);
    });
    return copy;
  }

  /** Every page is dirty. Under the collector lock, as what follows. */
  void addAll() {
    dirty.addAll();
  }

  /** Pages are somebody else's. */
  void remove(long firstPage, long pageCount) {
    dirty.removeRange(firstPage, pageCount);
  }

  /** The slot was not removed after all. */
  void clear() {
    dirty.clear();
  }
}
