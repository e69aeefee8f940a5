package dev.smudge.core;

import java.util.Arrays;

/** The slots by guest address. Immutable: a change makes a new one. */
final class SlotMap {
  static final SlotMap EMPTY = new SlotMap(new GuestSlot[0], new GuestSlot[0]);

  private final GuestSlot[] byAddress; // ascending, by unsigned address
  private final GuestSlot[] byId; // null where there is none

  private SlotMap(GuestSlot[] byAddress, GuestSlot[] byId) {
    this.byAddress = byAddress;
    this.byId = byId;
  }

  GuestSlot[] slots() {
    return byAddress;
  }

  SlotMap with(GuestSlot slot) {
    GuestSlot[] more = Arrays.copyOf(byAddress, byAddress.length + 1);
    more[byAddress.length] = slot;
    Arrays.sort(more, (a, b) -> Long.compareUnsigned(a.guestAddress, b.guestAddress));
    GuestSlot[] table = Arrays.copyOf(byId, Math.max(byId.length, slot.id() + 1));
    table[slot.id()] = slot;
    return new SlotMap(more, table);
  }

  boolean has(int slotId) {
    return slotId >= 0 && slotId < byId.length && byId[slotId] != null;
  }

  GuestSlot get(int slotId) {
    if (!has(slotId)) {
      throw new IllegalArgumentException("there is no slot " + slotId + "; slots: " + describe());
    }
    return byId[slotId];
  }

  /** The slot that holds all of an access. */
  GuestSlot find(long address, long length) {
    int low = 0;
    int high = byAddress.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      GuestSlot slot = byAddress[middle];
      if (Long.compareUnsigned(address, slot.guestAddress) < 0) {
        high = middle - 1;
      } else if (Long.compareUnsigned(address - slot.guestAddress, slot.size) >= 0) {
        low = middle + 1;
      } else if (slot.contains(address, length)) {
        return slot;
      } else {
        throw new GuestAccessException(address, length, "reaches past the end of " + slot);
      }
    }
    throw new GuestAccessException(address, length, "outside every slot: " + describe());
  }

  void checkNoOverlap(long guestAddress, long size) {
    for (GuestSlot slot : byAddress) {
      boolean before = Long.compareUnsigned(guestAddress + (size - 1), slot.guestAddress) < 0;
      boolean after = Long.compareUnsigned(guestAddress, slot.guestAddress + (slot.size - 1)) > 0;
      if (!before && !after) {
        throw new IllegalArgumentException(
            "0x"
                + Long.toHexString(guestAddress)
                + " + 0x"
                + Long.toHexString(size)
                + " overlaps "
                + slot);
      }
    }
  }

  String describe() {
    return Arrays.stream(byAddress).limit(8).map(GuestSlot::toString).toList()
        + (byAddress.length > 8 ? " and " + (byAddress.length - 8) + " more" : "");
  }
}
