package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.verify.PageContent;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/** What the pages of a memory contain, for the verify mode. */
final class SlotContent implements PageContent {
  private final AddressSpace space;

  SlotContent(AddressSpace space) {
    this.space = space;
  }

  @Override
  public void read(TrackedSlot slot, long pageIndex, byte[] page) {
    MemorySegment ram = mapped(slot).ram();
    long offset = pageIndex * slot.pageSize();
    MemorySegment.copy(ram, ValueLayout.JAVA_BYTE, offset, page, 0, page.length);
  }

  @Override
  public boolean isBeingWritten(TrackedSlot slot, long pageIndex) {
    return space.isBeingWritten(mapped(slot), pageIndex * slot.pageSize(), slot.pageSize());
  }

  private static MappedSlot mapped(TrackedSlot slot) {
    return ((GuestSlot) Objects.requireNonNull(slot.attachment())).mapped;
  }
}
