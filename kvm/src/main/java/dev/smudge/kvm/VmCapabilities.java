package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How a VM logs dirty pages: by bitmaps that a fetch clears, by bitmaps that are cleared range by
 * range (manual protect), or by dirty rings. {@link KvmVm} has the same methods, with their
 * documentation.
 *
 * <p>INITIALLY_SET and dirty rings exclude each other. With INITIALLY_SET no page is armed when
 * logging begins, and with rings nothing arms a page that no entry has reported: writes to pages
 * that the guest had mapped for writing before would never be reported.
 *
 * <p>Any thread may call the methods; one runs at a time.
 */
final class VmCapabilities {
  private final KvmFile file;
  private final int pageSize;

  // All are guarded by this.
  private final MemorySegment enableCap = Arena.ofAuto().allocate(EnableCapLayout.SIZE, Long.BYTES);
  private int ringEntries;
  private boolean ringBitmap;
  private boolean initiallySet;

  VmCapabilities(KvmFile file, int pageSize, int ringEntries) {
    this.file = file;
    this.pageSize = pageSize;
    this.ringEntries = ringEntries;
  }

  synchronized void enableManualProtect(boolean withInitiallySet) {
    if (!offers(Ioctls.MANUAL_PROTECT_ENABLE) || (withInitiallySet && !hasInitiallySet())) {
      throw Kvm.missing(
          "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2" + (withInitiallySet ? " with INITIALLY_SET" : ""));
    }
    if (withInitiallySet && ringEntries > 0) {
      throw notBoth();
    }
    long flags = Ioctls.MANUAL_PROTECT_ENABLE | (withInitiallySet ? Ioctls.INITIALLY_SET : 0);
    enable("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2, flags);
    initiallySet = withInitiallySet;
  }

  /** Whether logging can begin with all bits set and no page armed. */
  boolean hasInitiallySet() {
    return offers(Ioctls.INITIALLY_SET);
  }

  private boolean offers(int flag) {
    return (extension(Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2) & flag) != 0;
  }

  private static IllegalStateException notBoth() {
    return new IllegalStateException(
        "dirty rings and INITIALLY_SET: pages that the guest has written before would never be"
            + " reported");
  }

  synchronized void enableDirtyRing(int entries) {
    int least = pageSize / RingLayout.ENTRY_SIZE;
    if (Integer.bitCount(entries) != 1 || entries < least) {
      throw new IllegalArgumentException(
          "a ring of " + entries + " entries: it has to be a power of two, at least " + least);
    }
    if (initiallySet) {
      throw notBoth();
    }
    boolean ordered = extension(Ioctls.CAP_DIRTY_LOG_RING_ACQ_REL) != 0;
    if (!ordered && extension(Ioctls.CAP_DIRTY_LOG_RING) == 0) {
      throw Kvm.missing("KVM_CAP_DIRTY_LOG_RING");
    }
    enableDirtyRingBytes(ordered, (long) entries * RingLayout.ENTRY_SIZE);
    ringEntries = entries;
    if (extension(Ioctls.CAP_DIRTY_LOG_RING_WITH_BITMAP) != 0) {
      enable("KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP", Ioctls.CAP_DIRTY_LOG_RING_WITH_BITMAP, 0);
      ringBitmap = true;
    }
  }

  /** The bare call, without a check of the size. */
  void enableDirtyRingBytes(boolean ordered, long bytes) {
    enable(
        "KVM_CAP_DIRTY_LOG_RING",
        ordered ? Ioctls.CAP_DIRTY_LOG_RING_ACQ_REL : Ioctls.CAP_DIRTY_LOG_RING,
        bytes);
  }

  /** The bare call KVM_ENABLE_CAP. */
  synchronized void enable(String name, int capability, long argument) {
    enableCap.set(JAVA_INT, EnableCapLayout.CAP_OFFSET, capability);
    enableCap.set(JAVA_LONG, EnableCapLayout.ARG_0_OFFSET, argument);
    try {
      file.ioctl(name, Ioctls.ENABLE_CAP, enableCap, MemorySegment.NULL);
    } catch (KvmException e) {
      throw e.of("argument " + argument);
    }
  }

  private int extension(int capability) {
    return file.ioctl("KVM_CHECK_EXTENSION", Ioctls.CHECK_EXTENSION, capability);
  }

  /** The entries of each vCPU's dirty ring; 0 if the VM has bitmaps. */
  synchronized int ringEntries() {
    return ringEntries;
  }

  /** Whether there is a bitmap beside the rings. */
  synchronized boolean hasRingBitmap() {
    return ringBitmap;
  }
}
