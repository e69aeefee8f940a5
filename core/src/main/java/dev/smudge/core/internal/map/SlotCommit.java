package dev.smudge.core.internal.map;

import dev.smudge.core.internal.ram.RamRange;
import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.embed.LostPages;
import dev.smudge.sync.embed.MapChange;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The commit of a transaction: makes slots of the plans, finds out which pages live on in them, and
 * has the log make the change, in the middle of which the new map is published.
 *
 * <p>Commits follow one another up to and including what is told to others of the change; the grace
 * period comes after that, without a lock.
 */
public final class SlotCommit {
  /** A part of a new slot that was in the guest before, but whose pages cannot be carried. */
  private record Uncarried(SlotPlan plan, long from, long end) {}

  private final AddressSpace space;
  private final SlotOverlay overlay;
  private final Function<MappedSlot, Object> newHandle;
  private final List<MappedSlot> removed = new ArrayList<>();
  private final List<MappedSlot> added = new ArrayList<>();
  private final List<AddressSpace.Lost> lost = new ArrayList<>();
  private final List<RemovedSlot<Object>> handles = new ArrayList<>();
  private final ArrayList<SparseRam.Pin> pins = new ArrayList<>(0); // of slots that are added
  private final List<Uncarried> uncarried = new ArrayList<>();
  // Views, so that whoever asks for the result needs no memory.
  private final List<MappedSlot> allAdded = Collections.unmodifiableList(added);
  private final List<RemovedSlot<Object>> allHandles = Collections.unmodifiableList(handles);
  private boolean made;

  /** Makes the commit of what was planned; {@code newHandle} makes what the API hands out. */
  public SlotCommit(
      AddressSpace space, SlotOverlay overlay, Function<MappedSlot, Object> newHandle) {
    this.space = space;
    this.overlay = overlay;
    this.newHandle = newHandle;
  }

  /** {@return whether the change was made} */
  public boolean isMade() {
    return made;
  }

  /** {@return what the guest lost} */
  public List<RemovedSlot<Object>> removed() {
    return allHandles;
  }

  /** {@return what was added} */
  public List<MappedSlot> added() {
    return allAdded;
  }

  /** Makes the change, all of it or nothing, and waits until nobody uses what was removed. */
  public void run() {
    MapChange change = space.beginChange(!overlay.hidden().isEmpty());
    try {
      try {
        space.checkOpen();
        space.giveUpHalfMade(this);
        overlay.check(space.map());
        change(change);
      } finally {
        change.end();
      }
    } finally {
      giveUp();
      try {
        change.retire();
      } finally {
        // A device that was under way has marked an old slot, whose pages are not the new one's.
        if (made) {
          uncarried.forEach(part -> space.markMemory(part.plan, part.from, part.end));
          tellUncarried();
        }
      }
    }
  }

  /**
   * Releases what a change that was not made has taken. Where that is cut short too, the next
   * commit does the rest. What is taken off a list is released then or never, and not twice.
   */
  synchronized void giveUp() {
    while (!made && !lost.isEmpty()) {
      lost.removeLast().slot().release();
    }
    while (!made && !pins.isEmpty()) {
      pins.getLast().release(); // twice does nothing
      pins.removeLast();
    }
    space.isWhole(this);
  }

  private void tellUncarried() {
    Throwable failed = null;
    for (Uncarried part : uncarried) {
      failed = space.tellMemory(part.plan, part.from, part.end, failed);
    }
    if (failed != null) {
      space.embedded().report(failed); // the device's call is over, and the change is made
    }
  }

  private void change(MapChange change) {
    List<SlotPlan> plans = plans();
    if (removed.isEmpty() && plans.isEmpty()) {
      made = true;
      return;
    }
    makeSlots(plans, change);
    SlotMap before = space.map();
    SlotMap after = before.with(removed, added);
    MemoryOverlaps.refuseShared(after.slots(), added);
    MemoryOverlaps live = new MemoryOverlaps(added, slot -> slot.plan().memoryRange());
    for (MappedSlot slot : removed) {
      LostPages pages = change.remove(slot.log, slot::release);
      List<long[]> runs = carry(slot, live, change);
      if (!runs.isEmpty()) {
        handOut(new AddressSpace.Lost(slot, pages, runs));
      }
    }
    change.swap(() -> {
      space.publish(after, lost);
      made = true;
    });
    space.listeners().changed(before.slots(), after.slots());
  }

  /** The remover keeps the RAM of the whole slot until it closes the handle. */
  private void handOut(AddressSpace.Lost handle) {
    MappedSlot slot = handle.slot();
    RemovedSlot<Object> out =
        handle
            .pages()
            .handOut(
                slot.handle(),
                () -> {
                  space.forget(handle);
                  slot.release();
                });
    handles.add(out);
    slot.hold();
    lost.add(handle);
  }

  /** Those that change something; fills in what is removed. */
  private List<SlotPlan> plans() {
    Map<Integer, MappedSlot> hidden = new HashMap<>();
    overlay.hidden().forEach(slot -> hidden.put(slot.log.id(), slot));
    List<SlotPlan> plans = new ArrayList<>();
    for (SlotPlan plan : overlay.plans()) {
      MappedSlot old = hidden.get(plan.id());
      if (old != null && old.plan().isSame(plan)) {
        hidden.remove(plan.id());
      } else {
        plans.add(plan);
      }
    }
    overlay.hidden().stream()
        .filter(slot -> hidden.containsKey(slot.log.id()))
        .forEach(removed::add);
    return plans;
  }

  private void makeSlots(List<SlotPlan> plans, MapChange change) {
    IdentityHashMap<SparseRam, Long> used = new IdentityHashMap<>();
    for (SlotPlan plan : plans) {
      if (plan.own() != null) {
        used.computeIfAbsent(plan.own(), SparseRam::length);
      }
    }
    // The part at the end first: then the RAM is mapped once.
    plans.sort(Comparator.comparingLong(SlotPlan::ramEnd).reversed());
    pins.ensureCapacity(plans.size()); // now: a pin that is not there is never released
    for (SlotPlan plan : plans) {
      LogSlot log = change.add(plan.id(), plan.size() / plan.pageSize(), plan.pageSize());
      MappedSlot slot;
      SparseRam own = plan.own();
      if (own == null) {
        slot =
            new MappedSlot(
                plan, plan.segment().asSlice(plan.offset(), plan.size()), log, null, newHandle);
      } else {
        SparseRam.Pin pin = own.pin(plan.offset(), plan.size());
        pins.add(pin);
        long usedEnd = used.getOrDefault(own, 0L);
        for (RamRange fresh : plan.fresh()) {
          own.clear(pin, fresh, usedEnd);
        }
        slot = new MappedSlot(plan.settled(), pin.segment(), log, pin, newHandle);
      }
      change.attach(log, slot.handle());
      added.add(slot);
    }
    added.sort(Comparator.comparingInt(slot -> slot.log.id()));
  }

  /** Carries what lives on; returns the other pages, as first and count. */
  private List<long[]> carry(MappedSlot from, MemoryOverlaps live, MapChange change) {
    List<long[]> carried = new ArrayList<>();
    live.forEachOverlap(
        from.plan().memoryRange(),
        (to, start, end) -> {
          long pageSize = from.log.pageSize(); // here: no lambda over a long (docs/design.md 3.8)
          long fromOffset = start - from.plan().memoryOffset();
          long toOffset = start - to.plan().memoryOffset();
          if (to.log.pageSize() == pageSize
              && fromOffset % pageSize == 0
              && toOffset % pageSize == 0) {
            long count = (end - start) / pageSize;
            change.carry(from.log, fromOffset / pageSize, to.log, toOffset / pageSize, count);
            carried.add(new long[] {fromOffset / pageSize, count});
          } else {
            uncarried.add(new Uncarried(to.plan(), start, end));
          }
        });
    carried.sort(Comparator.comparingLong(run -> run[0]));
    List<long[]> runs = new ArrayList<>();
    long next = 0;
    for (long[] run : carried) {
      if (next < run[0]) {
        runs.add(new long[] {next, run[0] - next});
      }
      next = Math.max(next, run[0] + run[1]);
    }
    if (next < from.log.pageCount()) {
      runs.add(new long[] {next, from.log.pageCount() - next});
    }
    return runs;
  }
}
