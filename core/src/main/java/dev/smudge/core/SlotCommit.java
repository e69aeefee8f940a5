package dev.smudge.core;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.SlotChange;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * The commit of a {@link SlotTransaction}: makes slots of the plans, finds out which pages live on
 * in them, and has the log make the change, in the middle of which the new map is published.
 *
 * <p>Commits follow one another up to and including what is told to others of the change; the grace
 * period comes after that, without a lock.
 */
final class SlotCommit {
  /** What a commit took away and made. */
  record Result(List<RemovedGuestSlot> removed, List<GuestSlot> added) {
    static final Result NONE = new Result(List.of(), List.of());
  }

  /** A part of a new slot that was in the guest before, but whose pages cannot be carried. */
  private record Uncarried(SlotPlan plan, long from, long end) {}

  private final GuestMemory memory;
  private final SlotOverlay overlay;
  private final List<GuestSlot> removed = new ArrayList<>();
  private final List<GuestSlot> added = new ArrayList<>();
  private final List<RemovedGuestSlot> handles = new ArrayList<>();
  private final List<SparseRam.Pin> pins = new ArrayList<>();
  private final List<Uncarried> uncarried = new ArrayList<>();
  private boolean made;
  private Runnable resume = () -> {};

  SlotCommit(GuestMemory memory, SlotOverlay overlay) {
    this.memory = memory;
    this.overlay = overlay;
  }

  boolean isMade() {
    return made;
  }

  Result result() {
    return new Result(List.copyOf(handles), List.copyOf(added));
  }

  void run() {
    stopVcpus();
    try {
      runStopped();
    } finally {
      resumeVcpus();
    }
  }

  /**
   * Before the lock of changes. Who pauses holds the vCPUs, and takes that lock for a change; so
   * nobody waits for the vCPUs with it.
   */
  private void stopVcpus() {
    if (!overlay.hidden().isEmpty() && !memory.listeners().isChanging()) {
      resume = memory.log().stopBackendVcpus();
    }
  }

  private void resumeVcpus() {
    Runnable once = resume;
    resume = () -> {};
    once.run();
  }

  private void runStopped() {
    memory.listeners().beginChange();
    try {
      memory.checkOpen();
      overlay.check(memory.map());
      change();
    } finally {
      memory.listeners().endChange();
      if (!made) {
        pins.forEach(SparseRam.Pin::release);
      }
    }
  }

  private void change() {
    List<SlotPlan> plans = plans();
    if (removed.isEmpty() && plans.isEmpty()) {
      made = true;
      return;
    }
    DirtyLog log = memory.log();
    SlotChange change = log.change();
    makeSlots(plans, change);
    SlotMap before = memory.map();
    SlotMap after = before.with(removed, added);
    SharedMemory live = new SharedMemory(added);
    for (GuestSlot slot : removed) {
      change.remove(slot.log, slot::released);
      List<long[]> lost = carry(slot, live, change);
      if (!lost.isEmpty()) {
        SparseRam.Pin pin = slot.pin == null ? null : pinned(slot.pin.pin(0, slot.size));
        handles.add(
            new RemovedGuestSlot(slot, change.removed(slot.log), pin, lost, memory.handles()));
      }
    }
    try {
      change.commit(
          () -> {
            memory.publish(after, handles);
            made = true;
          },
          () -> {
            resumeVcpus();
            try {
              memory.listeners().changed(before.slots(), after.slots());
            } finally {
              memory.listeners().endChange();
            }
          });
    } finally {
      if (made) {
        // A device that was under way has marked an old slot, whose pages are not the new one's.
        uncarried.forEach(part -> memory.markMemory(part.plan, part.from, part.end));
      }
    }
  }

  private SparseRam.Pin pinned(SparseRam.Pin pin) {
    pins.add(pin);
    return pin;
  }

  /** Those that change something; fills in what is removed. */
  private List<SlotPlan> plans() {
    Map<Integer, GuestSlot> hidden = new HashMap<>();
    overlay.hidden().forEach(slot -> hidden.put(slot.id(), slot));
    List<SlotPlan> plans = new ArrayList<>();
    for (SlotPlan plan : overlay.plans()) {
      GuestSlot old = hidden.get(plan.id());
      if (old != null && old.plan.isSame(plan)) {
        hidden.remove(plan.id());
      } else {
        plans.add(plan);
      }
    }
    overlay.hidden().stream().filter(slot -> hidden.containsKey(slot.id())).forEach(removed::add);
    return plans;
  }

  private void makeSlots(List<SlotPlan> plans, SlotChange change) {
    IdentityHashMap<SparseRam, Long> used = new IdentityHashMap<>();
    for (SlotPlan plan : plans) {
      if (plan.own() != null) {
        used.computeIfAbsent(plan.own(), SparseRam::length);
      }
    }
    // The part at the end first: then the RAM is mapped once.
    plans.sort(Comparator.comparingLong(SlotPlan::ramEnd).reversed());
    for (SlotPlan plan : plans) {
      LogSlot logSlot = change.add(plan.id(), plan.size() / plan.pageSize(), plan.pageSize());
      GuestSlot slot;
      SparseRam own = plan.own();
      if (own == null) {
        slot =
            new GuestSlot(plan, plan.segment().asSlice(plan.offset(), plan.size()), logSlot, null);
      } else {
        SparseRam.Pin pin = pinned(own.pin(plan.offset(), plan.size()));
        long usedEnd = used.getOrDefault(own, 0L);
        plan.fresh().forEach(fresh -> SparseRam.clear(pin, fresh, usedEnd));
        slot = new GuestSlot(plan.settled(), pin.segment, logSlot, pin);
      }
      logSlot.attach(slot);
      added.add(slot);
    }
    added.sort(Comparator.comparingInt(GuestSlot::id));
  }

  /** Carries what lives on; returns the other pages, as first and count. */
  private List<long[]> carry(GuestSlot from, SharedMemory live, SlotChange change) {
    long pageSize = from.pageSize();
    List<long[]> carried = new ArrayList<>();
    live.forEachOverlap(
        from.plan,
        (to, start, end) -> {
          long fromOffset = start - from.plan.memoryOffset();
          long toOffset = start - to.plan.memoryOffset();
          if (to.pageSize() == pageSize && fromOffset % pageSize == 0 && toOffset % pageSize == 0) {
            long count = (end - start) / pageSize;
            change.carry(from.log, fromOffset / pageSize, to.log, toOffset / pageSize, count);
            carried.add(new long[] {fromOffset / pageSize, count});
          } else {
            uncarried.add(new Uncarried(to.plan, start, end));
          }
        });
    carried.sort(Comparator.comparingLong(run -> run[0]));
    List<long[]> lost = new ArrayList<>();
    long next = 0;
    for (long[] run : carried) {
      if (next < run[0]) {
        lost.add(new long[] {next, run[0] - next});
      }
      next = Math.max(next, run[0] + run[1]);
    }
    if (next < from.pageCount()) {
      lost.add(new long[] {next, from.pageCount() - next});
    }
    return lost;
  }
}
