package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.linux.Descriptor;
import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The raw entries of a vCPU's ring: a second mapping of the same pages. */
final class RawRing {
  private final MemorySegment entries;

  private RawRing(MemorySegment entries) {
    this.entries = entries;
  }

  static RawRing of(KvmGuest guest, Arena arena) {
    long bytes = (long) guest.vm.ringEntries() * RingLayout.ENTRY_SIZE;
    try (Descriptor vcpu = Descriptor.borrowed(guest.vcpu.fd(), "the vCPU")) {
      return new RawRing(
          vcpu.map("ring", RunLayout.DIRTY_RING_PAGE * guest.vm.pageSize(), bytes, arena));
    }
  }

  int flags(int entry) {
    return entries.get(JAVA_INT, (long) entry * RingLayout.ENTRY_SIZE);
  }

  void flags(int entry, int flags) {
    entries.set(JAVA_INT, (long) entry * RingLayout.ENTRY_SIZE, flags);
  }

  int slotId(int entry) {
    return entries.get(JAVA_INT, (long) entry * RingLayout.ENTRY_SIZE + RingLayout.SLOT_OFFSET);
  }

  long page(int entry) {
    return entries.get(JAVA_LONG, (long) entry * RingLayout.ENTRY_SIZE + RingLayout.PAGE_OFFSET);
  }

  int count(int flags) {
    int count = 0;
    for (int entry = 0; entry < entries.byteSize() / RingLayout.ENTRY_SIZE; entry++) {
      count += flags(entry) == flags ? 1 : 0;
    }
    return count;
  }

  /** Makes an entry that was harvested and names any page of any slot. */
  void forge(int entry, int slotId, long page) {
    long at = (long) entry * RingLayout.ENTRY_SIZE;
    entries.set(JAVA_INT, at + RingLayout.SLOT_OFFSET, slotId);
    entries.set(JAVA_LONG, at + RingLayout.PAGE_OFFSET, page);
    entries.set(JAVA_INT, at, RingLayout.RESET);
  }
}
