package dev.smudge.sync.embed;

import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.internal.collect.RemovedPages;
import dev.smudge.sync.internal.facade.ApiAccess;

/** Dirty pages of a removed slot that no slot took over. From any thread. */
public final class LostPages {
  private final RemovedPages pages;

  LostPages(RemovedPages pages) {
    this.pages = pages;
  }

  /**
   * Adds pages, for a writer that lands after the slot is gone (asynchronous I/O).
   *
   * @param firstPage first page
   * @param pageCount pages, 0 or more
   */
  public void add(long firstPage, long pageCount) {
    pages.add(firstPage, pageCount);
  }

  /**
   * Returns the handle for the remover.
   *
   * @param slot what the remover calls the slot
   * @param whenClosed run once, when the handle is closed
   * @return the handle
   * @param <S> type of that
   */
  @SuppressWarnings("unchecked") // of that slot
  public <S> RemovedSlot<S> handOut(S slot, Runnable whenClosed) {
    return (RemovedSlot<S>) ApiAccess.get().removedSlot(pages, slot, whenClosed);
  }
}
