package dev.smudge.core.internal.map;

import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The slots by guest address. Immutable: a change makes a new one. */
public final class SlotMap {
  /** Without slots. */
  public static final SlotMap EMPTY = new SlotMap(new MappedSlot[0], new MappedSlot[0]);

  private static final Comparator<MappedSlot> BY_ADDRESS =
      (a, b) -> Long.compareUnsigned(a.base, b.base);

  private final MappedSlot[] byAddress; // ascending, by unsigned address
  private final MappedSlot[] byId; // null where there is none

  private SlotMap(MappedSlot[] byAddress, MappedSlot[] byId) {
    this.byAddress = byAddress;
    this.byId = byId;
  }

  /** {@return the slots, by ascending address; not to be changed} */
  public MappedSlot[] slots() {
    return byAddress;
  }

  /** Without some slots, and with others. One copy, whatever their number. */
  SlotMap with(Collection<MappedSlot> removed, Collection<MappedSlot> added) {
    int ids = added.stream().mapToInt(slot -> slot.log.id() + 1).max().orElse(0);
    MappedSlot[] table = Arrays.copyOf(byId, Math.max(byId.length, ids));
    removed.forEach(slot -> table[slot.log.id()] = null);
    MappedSlot[] rest = removed.isEmpty() ? byAddress : keep(table, byAddress.length);
    added.forEach(slot -> table[slot.log.id()] = slot);
    MappedSlot[] more = added.toArray(MappedSlot[]::new);
    Arrays.sort(more, BY_ADDRESS);
    MappedSlot[] all = new MappedSlot[rest.length + more.length];
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
  private MappedSlot[] keep(MappedSlot[] table, int length) {
    MappedSlot[] kept = new MappedSlot[length];
    int count = 0;
    for (MappedSlot slot : byAddress) {
      if (table[slot.log.id()] == slot) {
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
      if (Long.compareUnsigned(byAddress[middle].plan().lastAddress(), address) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** {@return whether a slot is in this map} */
  public boolean isCurrent(MappedSlot slot) {
    return has(slot.log.id()) && byId[slot.log.id()] == slot;
  }

  /** {@return whether there is a slot of a number} */
  public boolean has(int slotId) {
    return slotId >= 0 && slotId < byId.length && byId[slotId] != null;
  }

  /** {@return the slot of a number} */
  public MappedSlot get(int slotId) {
    if (!has(slotId)) {
      throw new IllegalArgumentException("there is no slot " + slotId + "; slots: " + describe());
    }
    return byId[slotId];
  }

  /** Receives an access slot by slot. */
  public interface PartConsumer {
    /**
     * Receives a part.
     *
     * @param slot its slot
     * @param offset where it begins in the slot
     * @param done bytes of the access before it
     * @param length its bytes
     */
    void accept(MappedSlot slot, long offset, long done, long length);
  }

  /** {@return whether all of an access is in slots, of which each adjoins the next} */
  public boolean covers(long address, long length) {
    MappedSlot slot = slotAt(address);
    if (slot == null || length < 0) {
      return false;
    }
    long left = length - (slot.size - (address - slot.base));
    while (left > 0) {
      long next =
          slot.base + slot.size; // 0 after the last of all addresses, where no access goes on
      slot = next == 0 ? null : slotAt(next);
      if (slot == null) {
        return false;
      }
      left -= slot.size;
    }
    return true;
  }

  /** Hands out an access that is covered, by ascending address. */
  public void forEachPart(long address, long length, PartConsumer consumer) {
    for (long done = 0; done < length; ) {
      MappedSlot slot = Objects.requireNonNull(slotAt(address + done));
      long offset = address + done - slot.base;
      long count = Math.min(length - done, slot.size - offset);
      consumer.accept(slot, offset, done, count);
      done += count;
    }
  }

  /** Tells the watches of all slots of a write that is covered. What they throw comes out last. */
  public void tellWatches(long address, long length) {
    Throwable failed = null;
    for (long done = 0; done < length; ) {
      MappedSlot slot = Objects.requireNonNull(slotAt(address + done));
      long offset = address + done - slot.base;
      long count = Math.min(length - done, slot.size - offset);
      failed = EmbeddedLog.tellWatches(slot.log, offset, count, failed);
      done += count;
    }
    EmbeddedLog.rethrow(failed);
  }

  /** Copies between ranges that are covered and may overlap. */
  public void copy(long from, long to, long length) {
    boolean upwards = Long.compareUnsigned(to - from, length) >= 0; // no source is overwritten
    for (long left = length; left > 0; ) {
      long at = upwards ? length - left : left - 1;
      MappedSlot source = Objects.requireNonNull(slotAt(from + at));
      MappedSlot target = Objects.requireNonNull(slotAt(to + at));
      long sourceOffset = from + at - source.base;
      long targetOffset = to + at - target.base;
      long count;
      if (upwards) {
        count = Math.min(source.size - sourceOffset, target.size - targetOffset);
      } else {
        count = Math.min(sourceOffset, targetOffset) + 1;
      }
      count = Math.min(count, left);
      long back = upwards ? 0 : count - 1;
      MemorySegment.copy(
          source.ram(), sourceOffset - back, target.ram(), targetOffset - back, count);
      left -= count;
    }
  }

  /**
   * Reads a range that is covered, as much as the target has room for. The target may be guest RAM
   * too: where one part of the read would overwrite what a later part still has to copy, all goes
   * through a buffer.
   */
  public void read(long address, MemorySegment target) {
    long length = target.byteSize();
    boolean[] overlaps = new boolean[1];
    forEachPart(
        address,
        length,
        (slot, offset, done, count) ->
            overlaps[0] |=
                done > 0
                    && target
                        .asSlice(0, done)
                        .asOverlappingSlice(slot.ram().asSlice(offset, count))
                        .isPresent());
    MemorySegment to = overlaps[0] ? Arena.ofAuto().allocate(length) : target;
    forEachPart(
        address,
        length,
        (slot, offset, done, count) -> MemorySegment.copy(slot.ram(), offset, to, done, count));
    if (overlaps[0]) {
      target.copyFrom(to);
    }
  }

  /** {@return the slot that holds all of an access; null if none does} */
  public @Nullable MappedSlot find(long address, long length) {
    MappedSlot slot = slotAt(address);
    return slot != null && length >= 0 && length <= slot.size - (address - slot.base) ? slot : null;
  }

  private @Nullable MappedSlot slotAt(long address) {
    int low = 0;
    int high = byAddress.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      MappedSlot slot = byAddress[middle];
      if (Long.compareUnsigned(address, slot.base) < 0) {
        high = middle - 1;
      } else if (Long.compareUnsigned(address - slot.base, slot.size) >= 0) {
        low = middle + 1;
      } else {
        return slot;
      }
    }
    return null;
  }

  /** {@return why {@link #find} finds nothing, for a message} */
  public String whyNot(long address) {
    MappedSlot slot = slotAt(address);
    return slot == null ? "outside every slot: " + describe() : "reaches past the end of " + slot;
  }

  /** {@return the slots, for messages} */
  public String describe() {
    return Arrays.stream(byAddress).limit(8).map(String::valueOf).toList()
        + (byAddress.length > 8 ? " and " + (byAddress.length - 8) + " more" : "");
  }
}
