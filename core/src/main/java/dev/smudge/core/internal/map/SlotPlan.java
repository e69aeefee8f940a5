package dev.smudge.core.internal.map;

import dev.smudge.core.internal.ram.RamRange;
import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.embed.MapChange;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a slot is to be: numbers, and a part of some RAM. Checked when it is made.
 *
 * @param own RAM of our own, null if it is the embedder's
 * @param segment the embedder's whole segment, {@code NULL} if the RAM is our own
 * @param offset where the slot begins in the RAM
 * @param fresh what of the RAM the slot has taken anew: nobody's until then, to be zero
 */
public record SlotPlan(
    int id,
    long guestAddress,
    long size,
    long pageSize,
    @Nullable SparseRam own,
    MemorySegment segment,
    long offset,
    List<RamRange> fresh) {
  private static final Object NATIVE = new Object();
  private static final long MIN_PAGE_SIZE = 256;

  /** Checks the numbers. */
  public SlotPlan {
    MapChange.checkSlot(id, pageSize, MIN_PAGE_SIZE);
    if (size <= 0 || size % pageSize != 0) {
      throw new IllegalArgumentException(
          "slot size " + size + " is not a positive multiple of the page size " + pageSize);
    }
    if ((guestAddress & (pageSize - 1)) != 0) {
      throw new IllegalArgumentException(
          "guest address 0x"
              + Long.toHexString(guestAddress)
              + " is not a multiple of the page size "
              + pageSize);
    }
    if (Long.compareUnsigned(guestAddress + (size - 1), guestAddress) < 0) {
      throw new IllegalArgumentException(range(guestAddress, size) + " wraps round at 2^64");
    }
    if (size > Long.MAX_VALUE - offset) {
      throw new IllegalArgumentException(
          "RAM of " + size + " bytes at " + offset + " is too large");
    }
  }

  public static String range(long guestAddress, long size) {
    return "0x" + Long.toHexString(guestAddress) + " + 0x" + Long.toHexString(size);
  }

  public static SlotPlan ofOwn(int id, long guestAddress, long size, long pageSize, SparseRam ram) {
    List<RamRange> all = List.of(new RamRange(0, size));
    return new SlotPlan(id, guestAddress, size, pageSize, ram, MemorySegment.NULL, 0, all);
  }

  public static SlotPlan ofSegment(int id, long guestAddress, MemorySegment ram, long pageSize) {
    if (ram.isReadOnly()) {
      throw new IllegalArgumentException("the RAM of a slot has to be writable: " + ram);
    }
    if (!ram.scope().isAlive()) {
      throw new IllegalArgumentException("the RAM of a slot has to be alive: " + ram);
    }
    long size = ram.byteSize();
    return new SlotPlan(id, guestAddress, size, pageSize, null, ram, 0, List.of());
  }

  public SlotPlan movedTo(long address) {
    return new SlotPlan(id, address, size, pageSize, own, segment, offset, fresh);
  }

  /** Another range of the same RAM. */
  public SlotPlan part(
      int newId, long address, long newSize, long newOffset, List<RamRange> taken) {
    List<RamRange> inside = RamRange.inside(taken, newOffset, newOffset + newSize);
    return new SlotPlan(newId, address, newSize, pageSize, own, segment, newOffset, inside);
  }

  public SlotPlan withRam(MemorySegment ram) {
    return ofSegment(id, guestAddress, ram, pageSize);
  }

  public long ramEnd() {
    return offset + size;
  }

  public long lastAddress() {
    return guestAddress + (size - 1);
  }

  public boolean isOver(SlotPlan other) {
    return own == other.own
        && segment.equals(other.segment) // only the address
        && segment.byteSize() == other.segment.byteSize()
        && segment.scope().equals(other.segment.scope());
  }

  boolean overlaps(SlotPlan other) {
    return Long.compareUnsigned(guestAddress, other.lastAddress()) <= 0
        && Long.compareUnsigned(other.guestAddress, lastAddress()) <= 0;
  }

  /** Whether nothing that a slot shows would differ. */
  boolean isSame(SlotPlan other) {
    return id == other.id
        && guestAddress == other.guestAddress
        && size == other.size
        && pageSize == other.pageSize
        && offset == other.offset
        && isOver(other);
  }

  /** What memory it is, and where the slot begins there: the same for slots that share it. */
  Object memory() {
    if (own != null) {
      return own;
    }
    return memoryOf(segment);
  }

  static Object memoryOf(MemorySegment segment) {
    return segment.heapBase().orElse(NATIVE);
  }

  MemoryOverlaps.MemoryRange memoryRange() {
    return new MemoryOverlaps.MemoryRange(memory(), memoryOffset(), memoryEnd());
  }

  long memoryOffset() {
    return own != null ? offset : segment.address() + offset;
  }

  long memoryEnd() {
    return memoryOffset() + size;
  }

  /** As it is when it has its RAM. */
  SlotPlan settled() {
    return new SlotPlan(id, guestAddress, size, pageSize, own, segment, offset, List.of());
  }

  @Override
  public String toString() {
    return "slot " + id + " at " + range(guestAddress, size) + ", pages of " + pageSize;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return Objects.hash(id, guestAddress, size);
  }
}
