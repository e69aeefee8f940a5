package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.verify.PageContent;
import java.util.Objects;

/** What the pages of a memory contain, for the verify mode. */
final class SlotContent implements PageContent {
  private final AddressSpace space;
  private final MemoryPages pages;

  SlotContent(AddressSpace space) {
    this.space = space;
    this.pages = new MemoryPages(space);
  }

  @Override
  public void read(TrackedSlot slot, long pageIndex, byte[] page) {
    pages.read(guest(slot), pageIndex, page);
  }

  @Override
  public boolean isBeingWritten(TrackedSlot slot, long pageIndex) {
    return space.isBeingWritten(guest(slot).mapped, pageIndex * slot.pageSize(), slot.pageSize());
  }

  private static GuestSlot guest(TrackedSlot slot) {
    return (GuestSlot) Objects.requireNonNull(slot.attachment());
  }
}
