package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.sync.rcu.RcuReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * Whole pages of a memory, for whoever saves and restores them. A write is a read-side section, as
 * one of {@link DeviceMemory} is; the mark is the caller's.
 */
@SuppressWarnings("Finally") // what is thrown there has the same cause: the stack has ended
final class MemoryPages implements PagePort<GuestSlot> {
  private final AddressSpace space;

  MemoryPages(AddressSpace space) {
    this.space = space;
  }

  @Override
  public int slotId(GuestSlot slot) {
    return slot.id();
  }

  @Override
  public long pageCount(GuestSlot slot) {
    return slot.pageCount();
  }

  @Override
  public long pageSize(GuestSlot slot) {
    return slot.pageSize();
  }

  @Override
  public void read(GuestSlot slot, long pageIndex, byte[] page) {
    check(slot, pageIndex, page);
    MemorySegment.copy(
        slot.mapped.ram(),
        ValueLayout.JAVA_BYTE,
        pageIndex << slot.mapped.pageShift,
        page,
        0,
        page.length);
  }

  /** The caller marks one page, so one page is written. */
  private static void check(GuestSlot slot, long pageIndex, byte[] page) {
    Objects.checkIndex(pageIndex, slot.pageCount());
    if (page.length != slot.pageSize()) {
      throw new IllegalArgumentException(
          page.length + " bytes for a page of " + slot + ": it has " + slot.pageSize());
    }
  }

  @Override
  public long nextTouchedPage(GuestSlot slot, long pageIndex) {
    Objects.checkFromIndexSize(pageIndex, 0, slot.pageCount());
    slot.mapped.ram(); // refused if it is gone
    return slot.mapped.nextTouched(pageIndex << slot.mapped.pageShift) >>> slot.mapped.pageShift;
  }

  @Override
  public void write(GuestSlot slot, long pageIndex, byte[] page) {
    check(slot, pageIndex, page);
    RcuReader section = space.gate().enter();
    try {
      SlotMap map = space.openMap();
      if (space.log().isSealed()) {
        throw new SealedException("page " + pageIndex + " of " + slot + " came after seal()");
      }
      if (!map.isCurrent(slot.mapped)) {
        throw new IllegalArgumentException(
            slot + " was removed or changed; slots: " + map.describe());
      }
      MemorySegment.copy(
          page,
          0,
          slot.mapped.ram(),
          ValueLayout.JAVA_BYTE,
          pageIndex << slot.mapped.pageShift,
          page.length);
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }
}
