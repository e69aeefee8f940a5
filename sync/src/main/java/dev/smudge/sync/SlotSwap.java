package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The commit of a {@link SlotChange}.
 *
 * <p>Under the collector lock: the last fetch of the old slots; the new ones with their views, and
 * with what they carry armed; then the swap. A vCPU that still holds an old slot marks that one.
 * Its stores go to the same memory, and whatever it finds marked already there was in the views of
 * all clients at the swap, or has been told since; and nobody reads a page before a barrier, after
 * which no vCPU holds an old slot any more. So until the grace period is over every fetch looks
 * into the old slots too, and tells of what it finds there as of pages of the new ones. Then they
 * are retired: one more fetch, and later marks are refused.
 */
final class SlotSwap {
  private final DirtyLog log;
  private final List<LeavingSlot> leaving;
  private final List<LogSlot> removed;
  private final List<LogSlot> added;
  private final Runnable swap;
  private final Runnable afterSwap;

  private final List<LogSlot> gone = new ArrayList<>();
  private final List<LogSlot> come = new ArrayList<>();
  private boolean logging; // there is a client

  SlotSwap(
      DirtyLog log,
      List<LeavingSlot> leaving,
      List<LogSlot> added,
      Runnable swap,
      Runnable afterSwap) {
    this.log = log;
    this.leaving = leaving;
    this.removed = leaving.stream().map(LeavingSlot::slot).toList();
    this.added = added;
    this.swap = swap;
    this.afterSwap = afterSwap;
  }

  void run() {
    if (!leaving.isEmpty()) {
      log.rcu().checkMayWait("a change that removes slots");
    }
    log.backend().changeSlots(removed, added, this::change); // may wait, so without the lock
    try {
      afterSwap.run();
    } finally {
      if (!leaving.isEmpty()) {
        retireAfterGracePeriod();
      }
    }
  }

  private void retireAfterGracePeriod() {
    boolean over = false;
    try {
      log.rcu().synchronize();
      over = true;
    } finally {
      if (!over) {
        log.rcu().callRcu(this::retire);
      }
    }
    retire();
  }

  private void change() {
    log.lock().lock();
    try {
      log.checkOpen();
      log.table().checkChange(removed, added);
      logging = log.clients().length > 0;
      apply();
    } finally {
      log.lock().unlock();
    }
  }

  private void apply() {
    boolean done = false;
    try {
      if (logging && !leaving.isEmpty()) {
        log.reap(); // here, where a backend has stopped its vCPUs: no entry of an old slot is left
      }
      for (LogSlot slot : removed) {
        if (logging) {
          log.fetch(slot);
        }
        log.backend().removeSlot(slot);
        gone.add(slot);
      }
      for (LogSlot slot : added) {
        log.backend().addSlot(slot);
        come.add(slot);
        slot.cached.addAll();
      }
      if (logging) {
        startAdded();
      }
      done = true;
    } finally {
      if (!done) {
        undo();
      }
    }
    publish();
  }

  /** A view for every client, and what is not dirty in it armed. */
  private void startAdded() {
    for (DirtyClient client : log.clients()) {
      for (LogSlot slot : added) {
        client.addView(slot);
      }
      for (LeavingSlot slot : leaving) {
        client.view(slot.slot()).forEachRun((first, count) -> slot.carry(first, count, client));
      }
    }
    Map<LogSlot, PageSet> carriedPages = carried();
    for (LogSlot slot : added) {
      PageSet carried = carriedPages.computeIfAbsent(slot, to -> new PageSet(to.pageCount()));
      PageSet fresh = new PageSet(slot.pageCount());
      fresh.addAll();
      fresh.removeAll(carried);
      for (DirtyClient client : log.clients()) {
        client.view(slot).addAll(fresh);
      }
      log.backend().startLog(slot);
      log.sources().logStart(slot);
      if (!carried.isEmpty()) {
        log.clearFetched(slot, carried);
      }
    }
  }

  /** The pages of the new slots that are carried over. */
  private Map<LogSlot, PageSet> carried() {
    Map<LogSlot, PageSet> pages = new HashMap<>();
    for (LeavingSlot from : leaving) {
      from.forEachCarry((to, first, count) ->
          pages.computeIfAbsent(to, slot -> new PageSet(slot.pageCount())).addRange(first, count));
    }
    return pages;
  }

  /** What was removed is there again, with every page dirty: its bits may be gone. */
  private void undo() {
    for (DirtyClient client : log.clients()) {
      added.forEach(client::dropView);
    }
    added.forEach(log.sources()::undoStart);
    Collections.reverse(come);
    come.forEach(log.backend()::removeSlot);
    Collections.reverse(gone);
    for (LogSlot slot : gone) {
      for (DirtyClient client : log.clients()) {
        client.view(slot).addAll();
      }
      slot.cached.addAll();
      log.backend().addSlot(slot);
      if (logging) {
        log.backend().startLog(slot);
      }
    }
  }

  private void publish() {
    for (LeavingSlot slot : leaving) {
      slot.slot().leaving = slot;
      slot.slot().views = new PageSet[0];
      log.table().leave(slot);
      if (!logging) {
        slot.tell(0, slot.slot().pageCount()); // nothing was tracked
      }
      for (DirtyClient client : log.clients()) {
        client.dropView(slot.slot());
      }
    }
    for (LogSlot slot : added) {
      slot.added();
      log.collectViews(slot);
    }
    log.table().change(removed, added);
    try {
      swap.run();
    } finally {
      if (!leaving.isEmpty()) {
        log.vcpus().pagesArmed(); // S3: after the swap; vCPUs drop what they hold of the old slots
      }
    }
  }

  /** The grace period is over. */
  private void retire() {
    boolean done = false;
    log.lock().lock();
    try {
      // First, so that what comes later is refused (T2).
      leaving.forEach(LeavingSlot::retire);
      if (log.clients().length > 0) {
        log.reap();
      } else { // the last one has ended meanwhile, and what is in the rings stays there
        leaving.forEach(slot -> slot.tell(0, slot.slot().pageCount()));
      }
      for (LeavingSlot slot : leaving) {
        log.fetch(slot.slot());
        log.sources().retire(slot.slot());
      }
      leaving.forEach(log.table()::left);
      done = true;
    } finally {
      log.lock().unlock();
      if (!done) {
        log.rcu().callRcu(this::retire); // until then every fetch looks into them
      }
    }
    for (LeavingSlot slot : leaving) {
      slot.slot()
          .live
          .clear(0, slot.slot().pageCount()); // no late mark passes for one that is done
      slot.release(log);
    }
  }
}
