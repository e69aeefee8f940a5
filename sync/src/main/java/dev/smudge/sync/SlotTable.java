package dev.smudge.sync;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Slots by number, and the used ones in a row, so that a walk costs what is used (QEMU
 * 5504a8126115). Changed under the collector lock, read from anywhere.
 */
final class SlotTable {
  /** As KVM: KVM_USER_MEM_SLOTS. */
  static final int MAX_SLOTS = 32_764;

  private volatile @Nullable LogSlot[] byId = new LogSlot[0];
  private volatile LogSlot[] used = new LogSlot[0];

  /** The slots in use; a caller must not change it. */
  LogSlot[] used() {
    return used;
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
    LogSlot[] table = byId;
    return slotId < 0 || slotId >= table.length ? null : table[slotId];
  }

  @SuppressWarnings("ReferenceEquality")
  void checkOwn(LogSlot slot) {
    if (find(slot.id()) != slot) {
      throw new IllegalArgumentException(slot + " is not of this log; its slots: " + ids());
    }
  }

  void checkFree(int slotId) {
    if (slotId < 0 || slotId >= MAX_SLOTS) {
      throw new IllegalArgumentException("slot " + slotId + " is outside 0 to " + (MAX_SLOTS - 1));
    }
    if (slotId < byId.length && byId[slotId] != null) {
      throw new IllegalArgumentException("slot " + slotId + " is in use; slots: " + ids());
    }
  }

  void add(LogSlot slot) {
    LogSlot[] table = Arrays.copyOf(byId, Math.max(byId.length, slot.id() + 1));
    table[slot.id()] = slot;
    LogSlot[] row = Arrays.copyOf(used, used.length + 1);
    row[used.length] = slot;
    byId = table;
    used = row;
  }

  void remove(LogSlot slot) {
    LogSlot[] table = byId.clone();
    table[slot.id()] = null;
    byId = table;
    used = Arrays.stream(used).filter(s -> s != slot).toArray(LogSlot[]::new);
  }

  private String ids() {
    return Arrays.stream(used).limit(20).map(s -> String.valueOf(s.id())).toList()
        + (used.length > 20 ? " and " + (used.length - 20) + " more" : "");
  }
}
