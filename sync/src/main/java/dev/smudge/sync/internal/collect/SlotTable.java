package dev.smudge.sync.internal.collect;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Slots by number, and the used ones in a row, so that a walk costs what is used (QEMU
 * 5504a8126115). A change makes a new table and swaps it in one step. Changed under the collector
 * lock, read from anywhere.
 */
public final class SlotTable {
  private static final int ID_MASK = 0xffff;
  private static final int MAX_GENERATION = 0xffff;

  /** What is in the table at one time. */
  static final class Slots {
    final @Nullable Slot[] byId;
    final Slot[] used;

    Slots(@Nullable Slot[] byId, Slot[] used) {
      this.byId = byId;
      this.used = used;
    }
  }

  private volatile Slots slots = new Slots(new Slot[0], new Slot[0]);

  private final AtomicInteger generations = new AtomicInteger(1); // of entry ids

  private volatile @Nullable String owner; // alone adds and removes slots; null: anybody

  // Under the collector lock.
  private final Set<LeavingSlot> leaving = new LinkedHashSet<>(); // removed, and marked still
  private final Set<LeavingSlot> unreleased = new LinkedHashSet<>(); // these, and those in use
  private volatile boolean releaseCutShort;
  private final Set<SlotRetirement> unretired = new LinkedHashSet<>();
  private final Set<Slot> outside = new LinkedHashSet<>();

  /** Makes a slot that is not in the table yet. */
  public Slot newSlot(int slotId, long pageCount, long pageSize, Function<Slot, Object> identity) {
    SlotLimits.checkId(slotId);
    SlotLimits.checkPages(pageCount, pageSize);
    int generation = generations.getAndUpdate(g -> g == MAX_GENERATION ? 1 : g + 1);
    return new Slot(this, slotId, generation << 16 | slotId, pageCount, pageSize, identity);
  }

  /** From now on only one owner changes the slots. Under the collector lock. */
  void claim(String newOwner) {
    if (owner != null) {
      throw new IllegalStateException(
          "this log belongs to " + owner + " already: make a log for each");
    }
    if (slots.used.length != 0) {
      throw new IllegalStateException(
          "this log has slots already, which " + newOwner + " knows nothing of: " + ids());
    }
    owner = newOwner;
  }

  /** Refuses a change by whoever is not the owner. */
  public void checkUnclaimed() {
    String other = owner;
    if (other != null) {
      throw new IllegalStateException(
          other + " changes the slots of this log: add and remove them there");
    }
  }

  /** {@return the slots in use; a caller must not change it} */
  public Slot[] used() {
    // T1.
    return slots.used;
  }

  /** {@return the slot of a number} */
  public Slot get(int slotId) {
    Slot slot = find(slotId);
    if (slot == null) {
      throw new IllegalArgumentException("there is no slot " + slotId + "; slots: " + ids());
    }
    return slot;
  }

  /** The slot, or null if there is none of that number. */
  @Nullable Slot find(int slotId) {
    @Nullable Slot[] table = slots.byId; // T1
    return slotId < 0 || slotId >= table.length ? null : table[slotId];
  }

  /**
   * The slot that an entry of a ring names, one that is leaving perhaps, or null if there is none.
   * By its number alone where the upper half is 0. Under the collector lock.
   */
  @Nullable Slot ofEntry(int entryId) {
    Slot slot = find(entryId & ID_MASK);
    if (slot != null && (entryId == slot.entryId() || entryId == slot.id())) {
      return slot;
    }
    for (LeavingSlot other : leaving) {
      if (other.slot().entryId() == entryId) {
        return other.slot();
      }
    }
    return null;
  }

  /** Refuses what cannot be removed, or has the number of one that stays. */
  void checkChange(Collection<Slot> removed, Collection<Slot> added) {
    for (Slot slot : removed) {
      checkOwn(slot);
    }
    Set<Slot> leaves = new HashSet<>(removed);
    for (Slot slot : added) {
      Slot other = find(slot.id());
      if (other != null && !leaves.contains(other)) {
        throw new IllegalArgumentException(
            "slot " + slot.id() + " is in use: " + other + "; slots: " + ids());
      }
    }
  }

  @SuppressWarnings("ReferenceEquality")
  void checkOwn(Slot slot) {
    if (find(slot.id()) != slot) {
      throw new IllegalArgumentException(slot + " is not one of the slots of this log: " + ids());
    }
  }

  /** Whether a slot of this table is in it now. */
  @SuppressWarnings("ReferenceEquality")
  boolean isCurrent(Slot slot) {
    return find(slot.id()) == slot;
  }

  /** Refuses a slot that was removed, also if another has its number by now. */
  void checkCurrent(Slot slot) {
    slot.checkOf(this);
    if (!isCurrent(slot)) {
      throw new IllegalArgumentException(slot + " was removed or changed; slots: " + ids());
    }
  }

  /** The table after a change; nothing is changed yet. */
  Slots with(Collection<Slot> removed, Collection<Slot> added) {
    Slots old = slots;
    int length = added.stream().mapToInt(slot -> slot.id() + 1).max().orElse(0);
    @Nullable Slot[] byId = Arrays.copyOf(old.byId, Math.max(old.byId.length, length));
    removed.forEach(slot -> byId[slot.id()] = null);
    added.forEach(slot -> byId[slot.id()] = slot);
    List<Slot> used = new ArrayList<>(Arrays.asList(old.used));
    if (!removed.isEmpty()) {
      used.removeIf(slot -> byId[slot.id()] != slot);
    }
    used.addAll(added);
    return new Slots(byId, used.toArray(Slot[]::new));
  }

  /** Removes and adds in one step. */
  void set(Slots now) {
    // ORDER T1 volatile: the new slots, their armed pages and views before the table. Pairs with
    // the reads in find and used. If weaker: a vCPU marks a slot whose bitmap is not there yet.
    slots = now;
  }

  /** Those that were removed and may be marked still; the caller must not change it. */
  Collection<LeavingSlot> leaving() {
    return leaving;
  }

  boolean isLeaving(Slot slot) {
    return leaving.stream().anyMatch(other -> other.slot().equals(slot));
  }

  void leave(LeavingSlot slot) {
    unreleased.add(slot);
    leaving.add(slot);
  }

  /** It was not removed after all. */
  void comeBack(LeavingSlot slot) {
    leaving.remove(slot);
    unreleased.remove(slot);
  }

  /** Returns whether it was there. */
  boolean left(LeavingSlot slot) {
    return leaving.remove(slot);
  }

  boolean isAnyUnreleased() {
    return !unreleased.isEmpty();
  }

  /** After a change was made: what led to a slot that has gone leads past it. */
  void leadPast() {
    unreleased.forEach(LeavingSlot::leadPast);
  }

  /** No set of a removed slot's last pages is trusted: a stack has ended in one, perhaps. */
  void doubtRemoved() {
    unreleased.forEach(LeavingSlot::doubt);
  }

  /**
   * Releases those that nobody uses any more. Without the lock. A slot is here until it was
   * released: the next call releases it, should this one be cut short.
   */
  void releaseUnused(CollectorLock lock, Consumer<? super Throwable> errorHandler) {
    releaseCutShort = false; // first: another call that is cut short says so after this
    boolean done = false;
    @Nullable LeavingSlot[] unused = new LeavingSlot[1];
    try {
      do {
        unused[0] = null;
        lock.run(() -> unused[0] = claimUnused());
        LeavingSlot slot = unused[0];
        if (slot != null) {
          slot.release(errorHandler);
          lock.run(() -> unreleased.remove(slot));
        }
      } while (unused[0] != null);
      done = true;
    } finally {
      if (!done) { // by stores: there may be no stack
        LeavingSlot slot = unused[0];
        if (slot != null) {
          // ORDER T3 volatile: whether it was released comes before. Pairs with the look in
          // claimUnused. If weaker: whoever claims it next releases its RAM a second time.
          slot.claimed = false;
        }
        // ORDER T4 volatile: after T3. Pairs with isReleaseCutShort. If weaker: the next sync finds
        // it claimed still, and only the one after that releases it.
        releaseCutShort = true;
      }
    }
  }

  /** Whether an error has kept somebody from a release. */
  boolean isReleaseCutShort() {
    return releaseCutShort; // T4
  }

  /**
   * Finds one that nobody uses any more, that was fetched for the last time, and that no other
   * thread is releasing: the caller is, from here on. Null if there is none.
   */
  private @Nullable LeavingSlot claimUnused() {
    for (LeavingSlot slot : unreleased) {
      if (!slot.claimed // T3
          && !leaving.contains(slot)
          && !slot.isHeld()) {
        slot.cut();
        slot.claimed = true;
        return slot;
      }
    }
    return null;
  }

  /** Those in the table that the tracker has not taken back yet (SlotSwap.takeBack). */
  Set<Slot> outside() {
    return outside;
  }

  /** Changes that were made, and wait for the grace period; the caller must not change it. */
  Set<SlotRetirement> unretired() {
    return unretired;
  }

  void unretired(SlotRetirement slots) {
    unretired.add(slots);
  }

  void retired(SlotRetirement slots) {
    unretired.remove(slots);
  }

  /** {@return the numbers of the slots, for messages} */
  public String ids() {
    Slot[] used = used();
    return Arrays.stream(used).limit(20).map(s -> String.valueOf(s.id())).toList()
        + (used.length > 20 ? " and " + (used.length - 20) + " more" : "");
  }
}
