package dev.smudge.sync.internal.collect;

import dev.smudge.sync.internal.event.SlotChangeEvent;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.tracker.TrackerVcpus;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A change of the slots of a log: slots that go, slots that come, and which pages of those that go
 * live on in those that come.
 *
 * <pre>
 *   prepare    the tracker makes its parts of the new slots; a refusal changes nothing
 *   swap       under the lock: last fetch of the old slots; new slots with views, what they carry
 *              armed; the embedder publishes its own map; one store publishes the new table
 *   (grace)    vCPUs and devices that still hold an old slot mark that one, and every fetch looks
 *              there too, and tells of what it finds as of pages of the new slots
 *   retire     one more fetch; later marks of the old slots are refused; they are released
 * </pre>
 *
 * <p><b>An error in the middle.</b> The swap is made when the embedder's callback has returned.
 * Until then nobody can find a new slot, every step can be undone, and an error undoes them: what
 * was removed is there again, with every page dirty. After that nothing is left but to publish the
 * table and to tidy up. Where the undoing or the tidying is itself cut short, the next call under
 * the collector lock goes on with it ({@link #settle}). A retirement that is cut short, or whose
 * grace period takes too long, is made by the next change whose grace period is over, or by a task
 * of RCU.
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
  private final SlotRetirement retirement;
  private final SlotChangeEvent event = new SlotChangeEvent();
  private volatile boolean swapped;

  // Under the collector lock.
  private final List<Slot> gone = new ArrayList<>(); // from the tracker
  private final List<Slot> come = new ArrayList<>();
  private SlotTable.@Nullable Slots after; // the table, once the swap is made
  private boolean logging; // there is a client
  private boolean undoing;

  /** Makes a change that is empty. */
  public SlotSwap(Collector collector) {
    this.collector = collector;
    this.retirement = new SlotRetirement(collector, leaving);
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

  /**
   * Stops vCPUs that are the tracker's own, if there are any. To be called before a lock of the
   * embedder's: a thread that holds a pause, and so these vCPUs, may be waiting for that lock. Does
   * nothing if a change that removes slots would be refused anyway.
   *
   * @return lets them go on; to be called once. Null: there are none
   */
  public static @Nullable Runnable stopVcpus(Collector collector) {
    TrackerVcpus own = collector.tracker().vcpus();
    return own == null || collector.vcpus().rcu().isInSection() || collector.isLockedByMe()
        ? null
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
      Runnable resume = removes() ? stopVcpus(collector) : null;
      try {
        swap(publish);
      } finally {
        if (resume != null) {
          resume.run();
        }
      }
      afterSwap.run();
    } finally {
      retireAfterGracePeriod();
    }
  }

  /** Refuses a change that would wait for itself, or that is not whole, before it begins. */
  public void checkMayCommit() {
    StackRoom.check(); // so that there is enough of it for what follows in any case
    if (collector.isLockedByMe()) {
      collector.devices().checkNotCalling();
      throw new IllegalStateException(
          "a change of the slots inside a call under the collector lock, such as the one in which"
              + " another change publishes its map: make it when that change has ended");
    }
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
    leaving.clear(); // empty, unless the clean-up of that attempt was cut short too
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
    added.forEach(slot -> collector.attempt(slot::giveUp));
  }

  /**
   * Makes the swap, all of it or nothing.
   *
   * @param publish publishes the embedder's own map: called in the middle, where the old slots
   *     still take marks and the new ones take them already. If it throws, it has published
   *     nothing, and the swap is undone. Must not wait, nor call the log
   */
  public void swap(Runnable publish) {
    event.begin();
    CollectorLock lock = collector.lock();
    boolean done = false;
    try {
      collector.locked(() -> {
        collector.slots().checkChange(removed, added);
        logging = collector.clients().isAny();
        after = collector.slots().with(removed, added);
        collector.halfMade(this);
        try {
          apply();
          leave();
          publish.run();
          swapped = true; // from here on it is made
        } catch (StackOverflowError e) {
          lock.stackEnded = true; // now: what undoes the swap may throw something else
          throw e;
        } finally {
          settle();
        }
      });
      done = true;
    } finally {
      if (!done && !swapped) {
        // After the undoing: taking the lock once more sees to it, if it was cut short.
        lock.run(this::giveUp);
      }
    }
  }

  /** Undoes a swap that was not made, and tidies up after one that was. Under the lock. */
  void settle() {
    if (swapped) {
      tidyUp();
    } else {
      undo();
    }
    collector.halfMade(null);
  }

  private void apply() {
    if (logging && removes()) {
      collector.reap(); // where a tracker has stopped its vCPUs no entry of an old slot is left
    }
    for (Slot slot : removed) {
      if (logging) {
        collector.fetch(slot);
      }
      gone.add(slot); // first: to add it once more does no harm
      slot.fetched().part().remove();
    }
    for (Slot slot : added) {
      come.add(slot);
      slot.fetched().part().add();
      slot.fetched().countAllAsTold();
    }
    if (logging) {
      new AddedSlots(collector, added, leaving).start();
    } else {
      leaving.forEach(LeavingSlot::tellAll); // nothing was tracked
    }
    for (Slot slot : added) {
      collector.clients().setViews(slot);
    }
  }

  /** What is found in the old slots from here on goes to the new ones, which take marks. */
  private void leave() {
    for (LeavingSlot slot : leaving) {
      collector.slots().leave(slot);
      slot.slot().views().leave(slot);
    }
    if (removes()) {
      collector.slots().unretired(retirement);
    }
    added.forEach(Slot::added);
  }

  private void tidyUp() {
    SlotTable.Slots table = after;
    if (table != null) {
      // Not before it is made: a device that found a new slot here, in a section, would mark it
      // after an undoing, which waits for no section.
      collector.slots().set(table);
    }
    if (removes()) {
      collector.willArm(); // S3: after the swap; vCPUs drop what they hold of the old slots
    }
    for (LeavingSlot slot : leaving) {
      for (ClientView client : collector.clients().all()) {
        client.drop(slot.slot());
      }
    }
    collector.slots().leadPast();
  }

  /**
   * What was removed is there again, with every page dirty: its bits may be gone. Begins again
   * where it was cut short; what a tracker throws at the removal of a new slot is reported the
   * second time, and left.
   */
  private void undo() {
    boolean again = undoing;
    undoing = true;
    added.forEach(Slot::notAdded);
    collector.slots().retired(retirement);
    for (LeavingSlot slot : leaving) {
      slot.comeBack();
      collector.slots().comeBack(slot);
    }
    for (ClientView client : collector.clients().all()) {
      added.forEach(client::drop);
    }
    added.forEach(collector.devices()::undoStart);
    for (; !come.isEmpty(); come.remove(come.size() - 1)) {
      Slot slot = come.get(come.size() - 1);
      step(again, slot.fetched().part()::remove);
    }
    collector.slots().outside().addAll(gone);
    takeBack(collector);
    gone.clear();
    undoing = false;
  }

  /**
   * Has the tracker take back slots that are in the table and not in it: those of a change that was
   * undone. What it refuses is reported; every page of that slot is dirty, and the next call under
   * the lock asks again, so nothing that it misses meanwhile is lost.
   */
  static void takeBack(Collector collector) {
    Set<Slot> outside = collector.slots().outside();
    if (outside.isEmpty()) {
      return; // on the way of every call
    }
    for (Slot slot : List.copyOf(outside)) {
      if (!collector.slots().isCurrent(slot) || takeBack(collector, slot)) {
        outside.remove(slot);
      }
    }
  }

  private static boolean takeBack(Collector collector, Slot slot) {
    slot.views().tellAll();
    slot.fetched().countAllAsTold();
    return collector.attempt(() -> {
      slot.fetched().part().add();
      if (collector.clients().isAny()) {
        slot.fetched().part().start();
      }
    });
  }

  private void step(boolean again, Runnable step) {
    if (again) {
      collector.attempt(step);
    } else {
      step.run();
    }
  }

  /**
   * If the swap was made and has removed slots: waits for the grace period, then retires them. If
   * that takes too long, they are retired later.
   */
  public void retireAfterGracePeriod() {
    if (swapped && removes() && !retirement.isDone()) {
      retirement.run();
    }
    if (swapped && event.shouldCommit()) {
      event.added = added.size();
      event.removed = removed.size();
      event.commit();
    }
  }

  /** A tracker that has handed out RAM, to a kernel perhaps, takes it back. */
  static void removeAtClose(Collector collector) {
    Runnable resume = stopVcpus(collector);
    try {
      collector
          .lock()
          .run(() -> {
            Throwable failed = null;
            for (Slot slot : collector.slots().used()) { // each, whatever the others throw
              try {
                slot.fetched().part().remove();
              } catch (Throwable e) {
                failed = SlotWatches.also(failed, e);
              }
            }
            SlotWatches.rethrow(failed);
          });
    } finally {
      if (resume != null) {
        resume.run();
      }
    }
  }
}
