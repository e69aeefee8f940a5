package dev.smudge.sync;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Slots by number, and the used ones in a row, so that a walk costs what is used (QEMU
 * 5504a8126115). A change makes a new table and swaps it in one step. Changed under the collector
 * lock, read from anywhere.
 */
final class SlotTable {
  /** As KVM: KVM_USER_MEM_SLOTS. */
  static final int MAX_SLOTS = 32_764;

  private static final int ID_MASK = 0xffff;

  private static final class Slots {
    final @Nullable LogSlot[] byId;
    final LogSlot[] used;

    Slots(@Nullable LogSlot[] byId, LogSlot[] used) {
      this.byId = byId;
      this.used = used;
    }
  }

  private volatile Slots slots = new Slots(new LogSlot[0], new LogSlot[0]);

  /** Removed, and marked still: under the collector lock. */
  private final Set<LeavingSlot> leaving = new LinkedHashSet<>();

  /** The slots in use; a caller must not change it. */
  LogSlot[] used() {
    return slots.used;
  }

  LogSlot get(int slotId) {
    LogSlot slot = find(slotId);
    if (slot == null) {
      throw new IllegalArgumentException("there is no slot " + slotId + "; slots: " + ids());
    }
    return slot;
  }

  /** The slot, or null if there is none of that number. */
  @Nullable LogSlot find(int slotId) {
    @Nullable LogSlot[] table = slots.byId;
    return slotId < 0 || slotId >= table.length ? null : table[slotId];
  }

  /**
   * The slot that an entry of a ring names, one that is leaving perhaps, or null if there is none.
   * By its number alone where the upper half is 0. Under the collector lock.
   */
  @Nullable LogSlot ofEntry(int ringId) {
    LogSlot slot = find(ringId & ID_MASK);
    if (slot != null && (ringId == slot.ringId() || ringId == slot.id())) {
      return slot;
    }
    for (LeavingSlot other : leaving) {
      if (other.slot().ringId() == ringId) {
        return other.slot();
      }
    }
    return null;
  }

  /** Refuses what cannot be removed, or has the number of one that stays. */
  void checkChange(List<LogSlot> removed, List<LogSlot> added) {
    for (LogSlot slot : removed) {
      checkOwn(slot);
    }
    Set<LogSlot> leaves = new HashSet<>(removed);
    for (LogSlot slot : added) {
      LogSlot other = find(slot.id());
      if (other != null && !leaves.contains(other)) {
        throw new IllegalArgumentException(
            "slot " + slot.id() + " is in use: " + other + "; slots: " + ids());
      }
    }
  }

  @SuppressWarnings("ReferenceEquality")
  void checkOwn(LogSlot slot) {
    if (find(slot.id()) != slot) {
      throw new IllegalArgumentException(slot + " is not one of the slots of this log: " + ids());
    }
  }

  /** Removes and adds in one step. */
  void change(List<LogSlot> removed, List<LogSlot> added) {
    Slots old = slots;
    int length = added.stream().mapToInt(slot -> slot.id() + 1).max().orElse(0);
    @Nullable LogSlot[] byId = Arrays.copyOf(old.byId, Math.max(old.byId.length, length));
    removed.forEach(slot -> byId[slot.id()] = null);
    added.forEach(slot -> byId[slot.id()] = slot);
    List<LogSlot> used = new ArrayList<>(Arrays.asList(old.used));
    if (!removed.isEmpty()) {
      used.removeIf(slot -> byId[slot.id()] != slot);
    }
    used.addAll(added);
    // ORDER T1 volatile: the new slots, their armed pages and views before the table. Pairs with
    // the reads in find and used. If weaker: a vCPU marks a slot whose bitmap is not there yet.
    slots = new Slots(byId, used.toArray(LogSlot[]::new));
  }

  /** Those that were removed and may be marked still; the caller must not change it. */
  Collection<LeavingSlot> leaving() {
    return leaving;
  }

  void leave(LeavingSlot slot) {
    leaving.add(slot);
  }

  void left(LeavingSlot slot) {
    leaving.remove(slot);
  }

  String ids() {
    LogSlot[] used = used();
    return Arrays.stream(used).limit(20).map(s -> String.valueOf(s.id())).toList()
        + (used.length > 20 ? " and " + (used.length - 20) + " more" : "");
  }
}
