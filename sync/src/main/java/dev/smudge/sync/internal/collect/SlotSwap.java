package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.TrackerVcpus;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * A change of the slots of a log: slots that go, slots that come, and which pages of those that go
 * live on in those that come.
 *
 * <pre>
 *   prepare    the tracker makes its parts of the new slots; a refusal changes nothing
 *   swap       under the lock: last fetch of the old slots; new slots with views, what they carry
 *              armed; one store publishes the new table; the embedder publishes its own map
 *   (grace)    vCPUs and devices that still hold an old slot mark that one, and every fetch looks
 *              there too, and tells of what it finds as of pages of the new slots
 *   retire     one more fetch; later marks of the old slots are refused; they are released
 * </pre>
 *
 * <p><b>Why nothing is lost.</b> A vCPU that still holds an old slot stores to the same memory. Any
 * page that it finds marked there already was reported to every client at the swap or later. And
 * nobody reads a page before a barrier, after which no vCPU holds an old slot any more. For one
 * thread. Source: docs/design.md 3.6; QEMU {@code memory_region_transaction_commit}.
 */
public final class SlotSwap {
  private final Collector collector;
  private final Set<Slot> added = new LinkedHashSet<>();
  private final List<Slot> removed = new ArrayList<>();
  private final Map<Slot, RemovedPages> pages = new HashMap<>(); // of those that are removed
  private final Map<Slot, Runnable> released = new HashMap<>();
  private final Map<Slot, List<LeavingSlot.Carry>> carries = new HashMap<>();
  private final List<LeavingSlot> leaving = new ArrayList<>();
  private boolean swapped;

  private final List<Slot> gone = new ArrayList<>(); // from the tracker
  private final List<Slot> come = new ArrayList<>();
  private boolean logging; // there is a client

  /** Makes a change that is empty. */
  public SlotSwap(Collector collector) {
    this.collector = collector;
  }

  /** Adds a slot. */
  public Slot add(int slotId, long pageCount, long pageSize, Function<Slot, Object> identity) {
    Slot slot = collector.slots().newSlot(slotId, pageCount, pageSize, identity);
    added.add(slot);
    return slot;
  }

  /**
   * Removes a slot.
   *
   * @param whenReleased called once, by any thread and without a lock, when no vCPU, no read-side
   *     section and no open batch can use the slot any more
   * @return its dirty pages that no slot takes over; none until the swap
   */
  public RemovedPages remove(Slot slot, Runnable whenReleased) {
    collector.slots().checkOwn(slot);
    if (pages.containsKey(slot)) {
      throw new IllegalArgumentException(slot + " is removed by this change already");
    }
    RemovedPages last = new RemovedPages(collector, slot);
    pages.put(slot, last);
    released.put(slot, whenReleased);
    removed.add(slot);
    return last;
  }

  /** Says that pages of a slot that goes are pages of one that comes: the same memory. */
  public void carry(Slot from, long fromPage, Slot to, long toPage, long pageCount) {
    if (!pages.containsKey(from)) {
      throw new IllegalArgumentException(from + " is not removed by this change");
    }
    if (!added.contains(to)) {
      throw new IllegalArgumentException(to + " is not added by this change");
    }
    if (from.pageShift() != to.pageShift()) {
      throw new IllegalArgumentException(
          "pages of "
              + (1L << from.pageShift())
              + " and of "
              + (1L << to.pageShift())
              + " cannot be the same: "
              + from
              + ", "
              + to);
    }
    from.checkRange(fromPage, pageCount);
    to.checkRange(toPage, pageCount);
    if (pageCount > 0) {
      carries
          .computeIfAbsent(from, slot -> new ArrayList<>())
          .add(new LeavingSlot.Carry(fromPage, pageCount, to, toPage));
    }
  }

  /** {@return whether slots go: then the change waits for a grace period} */
  public boolean removes() {
    return !removed.isEmpty();
  }

  /** {@return whether the new slots were published} */
  public boolean isSwapped() {
    return swapped;
  }

  /** {@return what was removed, in the order of the removals} */
  public List<RemovedPages> removed() {
    return leaving.stream().map(slot -> pages.get(slot.slot())).toList();
  }

  /**
   * Stops vCPUs that are the tracker's own, if there are any. To be called before a lock of the
   * embedder's: a thread that holds a pause, and so these vCPUs, may be waiting for that lock. Does
   * nothing where a change that removes slots is refused anyway.
   *
   * @return lets them go on; to be called once
   */
  public static Runnable stopVcpus(Collector collector) {
    TrackerVcpus own = collector.tracker().vcpus();
    return own == null || collector.vcpus().rcu().isInSection() || collector.isLockedByMe()
        ? () -> {}
        : own.pause();
  }

  /**
   * Makes the whole change, for an embedder that keeps no map of its own.
   *
   * @param publish called in the middle of the swap
   * @param afterSwap called after it, before the grace period
   */
  public void commit(Runnable publish, Runnable afterSwap) {
    checkMayCommit();
    prepare();
    try {
      Runnable resume = removes() ? stopVcpus(collector) : () -> {};
      try {
        swap(publish);
      } finally {
        resume.run();
      }
      afterSwap.run();
    } finally {
      retireAfterGracePeriod();
    }
  }

  /** Refuses a change that would wait for itself, or that is not whole, before it begins. */
  public void checkMayCommit() {
    Set<Integer> ids = new HashSet<>();
    for (Slot slot : added) {
      if (!ids.add(slot.id())) {
        throw new IllegalArgumentException("slot " + slot.id() + " is added twice");
      }
    }
    if (removes()) {
      collector.vcpus().rcu().checkMayWait("a change that removes slots");
    }
  }

  /** Has the tracker prepare its parts. If it refuses one, all are given up. */
  public void prepare() {
    boolean done = false;
    gone.clear(); // of an attempt that failed
    come.clear();
    try {
      for (Slot slot : added) {
        slot.prepare(collector.tracker());
        collector.prepared(slot);
      }
      for (Slot slot : removed) {
        leaving.add(
            new LeavingSlot(
                requireRemoved(slot),
                carries.getOrDefault(slot, List.of()),
                released.getOrDefault(slot, () -> {})));
      }
      done = true;
    } finally {
      if (!done) {
        giveUp();
      }
    }
  }

  private RemovedPages requireRemoved(Slot slot) {
    RemovedPages last = pages.get(slot);
    if (last == null) {
      throw new IllegalStateException(slot + " is not removed");
    }
    return last;
  }

  private void giveUp() {
    leaving.clear();
    for (Slot slot : added) {
      if (slot.isPrepared()) {
        slot.fetched().part().close();
      }
    }
  }

  /**
   * Makes the swap, all of it or nothing.
   *
   * @param publish publishes the embedder's own map: called in the middle, where the old slots
   *     still take marks and the new ones take them already. Must not wait, nor call the log
   */
  public void swap(Runnable publish) {
    collector.lock().lock();
    try {
      boolean applied = false;
      try {
        collector.checkOpen();
        collector.slots().checkChange(removed, added);
        logging = collector.clients().isAny();
        apply();
        applied = true;
      } finally {
        if (!applied) {
          giveUp();
        }
      }
      publish(publish);
    } finally {
      collector.lock().unlock();
    }
  }

  private void apply() {
    boolean done = false;
    try {
      if (logging && removes()) {
        collector.reap(); // where a tracker has stopped its vCPUs no entry of an old slot is left
      }
      for (Slot slot : removed) {
        if (logging) {
          collector.fetch(slot);
        }
        slot.fetched().part().remove();
        gone.add(slot);
      }
      for (Slot slot : added) {
        slot.fetched().part().add();
        come.add(slot);
        slot.fetched().countAllAsTold();
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
  }

  /** A view for every client, and what is not dirty in it armed. */
  private void startAdded() {
    for (ClientView client : collector.clients().all()) {
      added.forEach(client::add);
      for (LeavingSlot slot : leaving) {
        client.of(slot.slot()).forEachRun((first, count) -> slot.carry(first, count, client));
      }
    }
    Map<Slot, PageSet> carriedPages = carried();
    for (Slot slot : added) {
      PageSet carried = carriedPages.computeIfAbsent(slot, to -> new PageSet(to.pageCount()));
      PageSet fresh = new PageSet(slot.pageCount());
      fresh.addAll();
      fresh.removeAll(carried);
      for (ClientView client : collector.clients().all()) {
        client.of(slot).addAll(fresh);
      }
      slot.fetched().part().start();
      collector.devices().logStart(slot);
      if (!carried.isEmpty()) {
        collector.clear(slot, carried);
      }
    }
  }

  /** The pages of the new slots that are carried over. */
  private Map<Slot, PageSet> carried() {
    Map<Slot, PageSet> carried = new HashMap<>();
    for (LeavingSlot from : leaving) {
      from.forEachCarry((to, first, count) ->
          carried
              .computeIfAbsent(to, slot -> new PageSet(slot.pageCount()))
              .addRange(first, count));
    }
    return carried;
  }

  /** What was removed is there again, with every page dirty: its bits may be gone. */
  private void undo() {
    for (ClientView client : collector.clients().all()) {
      added.forEach(client::drop);
    }
    added.forEach(collector.devices()::undoStart);
    Collections.reverse(come);
    come.forEach(slot -> slot.fetched().part().remove());
    Collections.reverse(gone);
    for (Slot slot : gone) {
      for (ClientView client : collector.clients().all()) {
        client.of(slot).addAll();
      }
      slot.fetched().countAllAsTold();
      slot.fetched().part().add();
      if (logging) {
        slot.fetched().part().start();
      }
    }
  }

  private void publish(Runnable publish) {
    for (LeavingSlot slot : leaving) {
      slot.slot().views().leave(slot);
      collector.slots().leave(slot);
      if (!logging) {
        slot.tellAll(); // nothing was tracked
      }
      for (ClientView client : collector.clients().all()) {
        client.drop(slot.slot());
      }
    }
    for (Slot slot : added) {
      slot.added();
      collector.clients().setViews(slot);
    }
    collector.slots().change(removed, added);
    swapped = true;
    try {
      publish.run();
    } finally {
      if (removes()) {
        // S3: after the swap; vCPUs drop what they hold of the old slots.
        collector.vcpus().handshake().pagesArmed();
      }
    }
  }

  /**
   * If the swap was made and has removed slots: waits for the grace period, then retires them. If
   * that takes too long, they are retired later, by a task of RCU.
   */
  public void retireAfterGracePeriod() {
    if (!swapped || !removes()) {
      return;
    }
    boolean over = false;
    try {
      collector.vcpus().rcu().synchronize();
      over = true;
    } finally {
      if (!over) {
        collector.vcpus().rcu().callRcu(this::retire);
      }
    }
    retire();
  }

  /** The grace period is over. */
  private void retire() {
    boolean done = false;
    collector.lock().lock();
    try {
      // First, so that what comes later is refused (T2).
      leaving.forEach(LeavingSlot::retire);
      if (collector.clients().isAny()) {
        collector.reap();
      } else { // the last one has ended meanwhile, and what is in the rings stays there
        leaving.forEach(LeavingSlot::tellAll);
      }
      for (LeavingSlot slot : leaving) {
        collector.fetch(slot.slot());
        collector.devices().retire(slot.slot());
      }
      for (LeavingSlot slot : leaving) {
        if (collector.slots().left(slot)) {
          slot.slot().fetched().part().close();
        }
      }
      done = true;
    } finally {
      collector.lock().unlock();
      if (!done) {
        collector.vcpus().rcu().callRcu(this::retire); // until then every fetch looks into them
      }
    }
    leaving.forEach(slot -> slot.release(collector));
  }

  /** A tracker that has handed out RAM, to a kernel perhaps, takes it back. */
  static void removeAtClose(Collector collector) {
    Runnable resume = stopVcpus(collector);
    try {
      collector.lock().lock();
      try {
        for (Slot slot : collector.slots().used()) {
          slot.fetched().part().remove();
        }
      } finally {
        collector.lock().unlock();
      }
    } finally {
      resume.run();
    }
  }
}
