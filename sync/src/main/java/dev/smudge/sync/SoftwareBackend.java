package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingArmer;
import dev.smudge.ring.RingPageConsumer;
import java.util.List;

/** The backend whose guest writes are marked by the vCPUs themselves. */
final class SoftwareBackend implements DirtyLogBackend {
  private final SlotTable slots;
  private final VcpuGroup vcpus;
  private final boolean rings;
  private final RingArmer armer = this::arm;

  SoftwareBackend(SlotTable slots, VcpuGroup vcpus, boolean rings) {
    this.slots = slots;
    this.vcpus = vcpus;
    this.rings = rings;
  }

  @Override
  public void changeSlots(List<LogSlot> removed, List<LogSlot> added, Runnable change) {
    change.run(); // one store makes the change: nobody has to stop
  }

  @Override
  public void addSlot(LogSlot slot) {
    slot.live.disarm();
  }

  @Override
  public void removeSlot(LogSlot slot) {
    // Marks go on until all have seen the change, and getDirtyLog finds them.
  }

  @Override
  public void startLog(LogSlot slot) {
    // No page is armed while no one logs, so all bits are set already.
  }

  @Override
  public void stopLog(LogSlot slot) {
    slot.live.disarm();
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    int entries = 0;
    for (LogVcpu vcpu : vcpus.vcpus()) {
      VcpuRing ring = vcpu.ring();
      if (ring != null) {
        ring.help(slots); // before the harvest, and before getDirtyLog
        entries += ring.reap(armer, sink);
      }
    }
    return entries;
  }

  @Override
  public boolean isAnyRingHalfFull() {
    for (LogVcpu vcpu : vcpus.vcpus()) {
      VcpuRing ring = vcpu.ring();
      if (ring != null && ring.isHalfFull()) {
        return true;
      }
    }
    return false;
  }

  /** An entry may name a slot or a page that there is not: compares without adding. */
  private void arm(int ringId, long wordIndex, long mask) {
    LogSlot slot = slots.ofEntry(ringId);
    if (slot != null && wordIndex < slot.live.wordCount()) {
      slot.live.clearWord((int) wordIndex, mask);
    }
  }

  @Override
  public void getDirtyLog(LogSlot slot, PageWordConsumer sink) {
    if (rings) {
      slot.live.fetchReported(sink);
      return;
    }
    // Read before the fetch: a barrier that ends during it proves nothing about this fetch's end.
    boolean quiesced = vcpus.completed() > slot.lastFetchRequest;
    try {
      slot.live.fetch(quiesced, sink);
    } finally {
      // Also after an exception: the summary bits that were taken until then are suspects from now.
      slot.lastFetchRequest = vcpus.requestedAtEndOfFetch();
    }
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    slot.checkClearRange(firstPage, pageCount, bitmap);
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    for (int w = 0; w < words; w++) {
      if (bitmap[w] != 0) {
        slot.live.clearWord(firstWord + w, bitmap[w]);
      }
    }
  }

  @Override
  public void afterSync() {
    vcpus.barrier();
  }
}
