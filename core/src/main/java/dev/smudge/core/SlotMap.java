package dev.smudge.core;

import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;

/** The slots by guest address. Immutable: a change makes a new one. */
final class SlotMap {
  static final SlotMap EMPTY = new SlotMap(new GuestSlot[0], new GuestSlot[0]);

  private static final Comparator<GuestSlot> BY_ADDRESS =
      (a, b) -> Long.compareUnsigned(a.guestAddress, b.guestAddress);

  private final GuestSlot[] byAddress; // ascending, by unsigned address
  private final GuestSlot[] byId; // null where there is none

  private SlotMap(GuestSlot[] byAddress, GuestSlot[] byId) {
    this.byAddress = byAddress;
    this.byId = byId;
  }

  GuestSlot[] slots() {
    return byAddress;
  }

  /** Without some slots, and with others. One copy, whatever their number. */
  SlotMap with(Collection<GuestSlot> removed, Collection<GuestSlot> added) {
    int ids = added.stream().mapToInt(slot -> slot.id() + 1).max().orElse(0);
    GuestSlot[] table = Arrays.copyOf(byId, Math.max(byId.length, ids));
    removed.forEach(slot -> table[slot.id()] = null);
    GuestSlot[] rest = removed.isEmpty() ? byAddress : keep(table, byAddress.length);
    added.forEach(slot -> table[slot.id()] = slot);
    GuestSlot[] more = added.toArray(GuestSlot[]::new);
    Arrays.sort(more, BY_ADDRESS);
    GuestSlot[] all = new GuestSlot[rest.length + more.length];
    int from = 0;
    for (int i = 0; i < more.length; i++) {
      int place = Arrays.binarySearch(rest, from, rest.length, more[i], BY_ADDRESS);
      int to = place < 0 ? -place - 1 : place;
      System.arraycopy(rest, from, all, from + i, to - from);
      all[to + i] = more[i];
      from = to;
    }
    System.arraycopy(rest, from, all, from + more.length, rest.length - from);
    return new SlotMap(all, table);
  }

  /** Those of the slots that are in a table still. */
  private GuestSlot[] keep(GuestSlot[] table, int length) {
    GuestSlot[] kept = new GuestSlot[length];
    int count = 0;
    for (GuestSlot slot : byAddress) {
      if (table[slot.id()] == slot) {
        kept[count++] = slot;
      }
    }
    return Arrays.copyOf(kept, count);
  }

  /** Where the first slot is that ends at an address or above; the number of slots if none does. */
  int firstEndingFrom(long address) {
    int low = 0;
    int high = byAddress.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Long.compareUnsigned(byAddress[middle].plan.lastAddress(), address) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  boolean isCurrent(GuestSlot slot) {
    return has(slot.id()) && byId[slot.id()] == slot;
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

  String describe() {
    return Arrays.stream(byAddress).limit(8).map(GuestSlot::toString).toList()
        + (byAddress.length > 8 ? " and " + (byAddress.length - 8) + " more" : "");
  }
}
