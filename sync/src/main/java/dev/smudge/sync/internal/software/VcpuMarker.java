package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.collect.Seal;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.SlotWatches;
import dev.smudge.sync.internal.vcpu.VcpuState;

/** Marks of one vCPU that are not there yet: sets bits, counts, and slows the vCPU down. */
public final class VcpuMarker {
  private final VcpuState vcpu;
  private final VcpuMarks marks;
  private final Seal seal;

  /** Makes one for a vCPU. */
  public VcpuMarker(VcpuState vcpu, VcpuMarks marks, Seal seal) {
    this.vcpu = vcpu;
    this.marks = marks;
    this.seal = seal;
  }

  /** {@return how it marks} */
  public VcpuMarks marks() {
    return marks;
  }

  /**
   * Marks bytes that the vCPU, online in the calling thread, has written or is about to write.
   *
   * @return whether watches have to be told, once they are written
   */
  public boolean mark(Slot slot, ArmableBitmap live, long byteOffset, long length) {
    if (slot.isNothing(byteOffset, length)) {
      return false;
    }
    int shift = slot.pageShift();
    long first = byteOffset >>> shift;
    long last = (byteOffset + length - 1) >>> shift;
    SlotWatches watches = slot.watches();
    boolean watched = watches.hold(first, last);
    long pages =
        watched
            ? watches.mark(first, last - first + 1)
            : marks.mark(live, slot.entryId(), first, last);
    if (pages != 0) {
      vcpu.pressure().madeDirty(pages, pages << shift);
      seal.report(slot, byteOffset);
    }
    return watched;
  }
}
