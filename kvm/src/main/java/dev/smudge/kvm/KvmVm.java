package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A VM of the kernel's: memory slots, their dirty logs, dirty rings, vCPUs.
 *
 * <p>From any thread; one call after the other. The fetch, the clear and the reset allocate
 * nothing.
 *
 * <p>The RAM of a slot must stay mapped until the slot is deleted, or the VM closed: the guest
 * writes to its address whatever is there.
 *
 * <p>Source: Documentation/virt/kvm/api.rst, the calls that are named below.
 */
public final class KvmVm implements AutoCloseable {
  /** Slot flag: log dirty pages. */
  public static final int LOG_DIRTY_PAGES = 1;

  /** Slot flag: the guest's writes are exits. */
  public static final int READ_ONLY = 2;

  private record Slot(long pageCount, MemorySegment ram) {}

  private final Kvm kvm;
  private final Descriptor file;

  // All under this.
  private final Map<Integer, Slot> slots = new HashMap<>();
  private final List<KvmVcpu> vcpus = new ArrayList<>();
  private final MemorySegment region = record(MemoryRegionLayout.SIZE);
  private final MemorySegment dirtyLog = record(DirtyLogLayout.SIZE);
  private final MemorySegment clearDirtyLog = record(ClearDirtyLogLayout.SIZE);
  private final MemorySegment enableCap = record(EnableCapLayout.SIZE);
  private final MemorySegment signals = asynchronousSignals();
  private final MemorySegment unblocked = record(Libc.SIGNAL_SET_SIZE); // under signals
  private int ringEntries;
  private boolean ringBitmap;
  private boolean initiallySet;
  private boolean closed;
  private boolean gone; // closed, and so are its vCPUs
  private @Nullable KernelRings rings;

  KvmVm(Kvm kvm, Descriptor file, int ringEntries) {
    this.kvm = kvm;
    this.file = file;
    this.ringEntries = ringEntries;
  }

  private static MemorySegment record(long size) {
    return Arena.ofAuto().allocate(size, Long.BYTES);
  }

  /** All but those that an instruction of the JVM's own may raise: blocked, they would end it. */
  private static MemorySegment asynchronousSignals() {
    MemorySegment set = record(Libc.SIGNAL_SET_SIZE);
    long synchronous = (1L << 3) | (1L << 4) | (1L << 6) | (1L << 7) | (1L << 10);
    set.set(JAVA_LONG, 0, ~synchronous); // ILL 4, TRAP, BUS, FPE, SEGV
    return set;
  }

  /** {@return the file descriptor, for calls that are not here; not to be closed} */
  public int fd() {
    return file.fd();
  }

  /** {@return the bytes of a page} */
  public int pageSize() {
    return kvm.pageSize();
  }

  /**
   * Lets a fetch leave the bits: {@link #clearDirtyLog} clears them. Before the first slot with a
   * log.
   *
   * @param initiallySet whether logging begins with all bits set and no page armed. Not with dirty
   *     rings: nothing would ever arm pages that the guest has written before
   * @throws UnsupportedOperationException if the kernel lacks it
   * @throws IllegalStateException if {@code initiallySet}, and the VM has dirty rings
   * @throws KvmException if the kernel refuses
   */
  public synchronized void enableManualProtect(boolean initiallySet) {
    if (!kvm.hasManualProtect() || (initiallySet && !kvm.hasInitiallySet())) {
      throw Kvm.missing(
          "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2" + (initiallySet ? " with INITIALLY_SET" : ""));
    }
    if (initiallySet && ringEntries > 0) {
      throw notBoth();
    }
    long flags = Ioctls.MANUAL_PROTECT_ENABLE | (initiallySet ? Ioctls.INITIALLY_SET : 0);
    enableCap("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2, flags);
    this.initiallySet = initiallySet;
  }

  private static IllegalStateException notBoth() {
    return new IllegalStateException(
        "dirty rings and INITIALLY_SET: pages that the guest has written before would never be"
            + " reported");
  }

  /**
   * Gives each vCPU a dirty ring, in place of the bitmaps, once, before the first vCPU and the
   * first slot. Where the kernel has a bitmap beside the rings, for writes without a vCPU, it is
   * switched on too.
   *
   * @param entries entries of each, a power of two, and a page of 16-byte entries at least
   * @throws IllegalArgumentException if that is not so
   * @throws IllegalStateException if logging begins with all bits set
   * @throws UnsupportedOperationException if the kernel has no dirty rings
   * @throws KvmException if the kernel refuses: {@code E2BIG} if it is too large, {@code EINVAL} if
   *     it was set before or there is a vCPU
   */
  public synchronized void enableDirtyRing(int entries) {
    int least = pageSize() / RingLayout.ENTRY_SIZE;
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
      enableCap("KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP", Ioctls.CAP_DIRTY_LOG_RING_WITH_BITMAP, 0);
      ringBitmap = true;
    }
  }

  void enableDirtyRingBytes(boolean ordered, long bytes) {
    enableCap(
        "KVM_CAP_DIRTY_LOG_RING",
        ordered ? Ioctls.CAP_DIRTY_LOG_RING_ACQ_REL : Ioctls.CAP_DIRTY_LOG_RING,
        bytes);
  }

  synchronized void enableCap(String name, int capability, long argument) {
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

  /** {@return the entries of each vCPU's dirty ring; 0 if the VM has bitmaps} */
  public synchronized int ringEntries() {
    return ringEntries;
  }

  /** {@return whether there is a bitmap beside the rings} */
  public synchronized boolean hasRingBitmap() {
    return ringBitmap;
  }

  /**
   * Makes a slot, or changes its flags or its guest address (KVM_SET_USER_MEMORY_REGION). Moving
   * keeps its bitmap; switching its log off loses it.
   *
   * @param slotId slot
   * @param flags {@link #LOG_DIRTY_PAGES}, {@link #READ_ONLY}
   * @param guestAddress guest-physical address of its first byte, a multiple of the page size
   * @param ram its RAM: native, whole pages
   * @throws IllegalArgumentException if {@code ram} is not
   * @throws KvmException if the kernel refuses: {@code EEXIST} if it overlaps another slot, {@code
   *     EINVAL} for what is unaligned, wraps or is out of range, and for another size or RAM of a
   *     slot that there is; nothing is changed
   */
  public synchronized void setSlot(int slotId, int flags, long guestAddress, MemorySegment ram) {
    Slot slot = checked(ram);
    setRegion(slotId, flags, guestAddress, ram.byteSize(), ram.address(), ram);
    slots.put(slotId, slot);
  }

  /**
   * Tells of a slot that was made by other means, so that its log can be used.
   *
   * @param slotId slot
   * @param ram its RAM: native, whole pages, as the kernel has it
   * @throws IllegalArgumentException if {@code ram} is not
   */
  public synchronized void adoptSlot(int slotId, MemorySegment ram) {
    slots.put(slotId, checked(ram));
  }

  private Slot checked(MemorySegment ram) {
    int size = pageSize();
    if (!ram.isNative() || ram.address() % size != 0 || ram.byteSize() % size != 0) {
      throw new IllegalArgumentException(
          "the RAM of a slot has to be whole pages of " + size + " bytes of native memory: " + ram);
    }
    if (ram.byteSize() == 0) {
      throw new IllegalArgumentException("the RAM of a slot has 0 bytes");
    }
    return new Slot(ram.byteSize() / size, ram);
  }

  /**
   * Deletes a slot; its bitmap is lost.
   *
   * @param slotId slot
   * @throws KvmException {@code EINVAL} if there is none
   */
  public synchronized void deleteSlot(int slotId) {
    setRegion(slotId, 0, 0, 0, 0, MemorySegment.NULL);
    slots.remove(slotId);
  }

  /** The bare call. */
  synchronized void setRegion(
      int slotId, int flags, long guestAddress, long bytes, long address, MemorySegment ram) {
    region.set(JAVA_INT, MemoryRegionLayout.SLOT_OFFSET, slotId);
    region.set(JAVA_INT, MemoryRegionLayout.FLAGS_OFFSET, flags);
    region.set(JAVA_LONG, MemoryRegionLayout.GUEST_ADDRESS_OFFSET, guestAddress);
    region.set(JAVA_LONG, MemoryRegionLayout.BYTES_OFFSET, bytes);
    region.set(JAVA_LONG, MemoryRegionLayout.USER_ADDRESS_OFFSET, address);
    try {
      file.ioctl("KVM_SET_USER_MEMORY_REGION", Ioctls.SET_USER_MEMORY_REGION, region, ram);
    } catch (KvmException e) {
      throw e.of(
          String.format(
              Locale.ROOT,
              "slot %d, flags %d, %d bytes at guest address 0x%x, RAM at 0x%x",
              slotId,
              flags,
              bytes,
              guestAddress,
              address));
    }
  }

  /**
   * Copies a slot's bitmap (KVM_GET_DIRTY_LOG), and clears it unless that is manual. If the copy
   * fails, the bits are lost in that case.
   *
   * @param slotId slot, made or adopted here
   * @param bitmap gets it, bit n of word w for page {@code 64 * w + n}: native, a multiple of 8
   *     bytes, with room for all pages
   * @throws IllegalArgumentException if it has not, or there is no such slot
   * @throws KvmException {@code ENOENT} if the slot's log is off, {@code ENXIO} if the VM has rings
   *     and no bitmap
   */
  public synchronized void getDirtyLog(int slotId, MemorySegment bitmap) {
    file.fd(); // if it is closed, that is why there is no slot
    @Nullable Slot slot = slots.get(slotId);
    if (slot == null) {
      throw new IllegalArgumentException("there is no slot " + slotId);
    }
    checkBitmap(bitmap, slot.pageCount);
    getDirtyLog(slotId, bitmap.address(), bitmap);
  }

  /** The bare call. */
  synchronized void getDirtyLog(int slotId, long address, MemorySegment kept) {
    dirtyLog.set(JAVA_INT, DirtyLogLayout.SLOT_OFFSET, slotId);
    dirtyLog.set(JAVA_LONG, DirtyLogLayout.BITMAP_OFFSET, address);
    try {
      file.ioctl("KVM_GET_DIRTY_LOG", Ioctls.GET_DIRTY_LOG, dirtyLog, kept);
    } catch (KvmException e) {
      throw e.of("slot " + slotId);
    }
  }

  /**
   * Clears those bits of a slot's bitmap that are set here, and arms their pages
   * (KVM_CLEAR_DIRTY_LOG). When it returns, no vCPU can write them unseen. Needs manual protect.
   *
   * @param slotId slot
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages, 0 to 2^32 - 1: a multiple of 64, or up to the slot's end
   * @param bitmap bit n of word w: clear page {@code firstPage + 64 * w + n}. Native, with as many
   *     bits
   * @throws IllegalArgumentException if {@code bitmap} has not, or {@code pageCount} is outside
   *     that
   * @throws KvmException {@code EINVAL} if the range is unaligned or not inside the slot, {@code
   *     ENOENT} if there is no such slot or its log is off; nothing is changed
   */
  public synchronized void clearDirtyLog(
      int slotId, long firstPage, long pageCount, MemorySegment bitmap) {
    if (pageCount < 0 || pageCount >>> Integer.SIZE != 0) {
      throw new IllegalArgumentException(pageCount + " pages: it has to be 0 to 2^32 - 1");
    }
    checkBitmap(bitmap, pageCount);
    clearDirtyLog.set(JAVA_INT, ClearDirtyLogLayout.SLOT_OFFSET, slotId);
    clearDirtyLog.set(JAVA_INT, ClearDirtyLogLayout.PAGES_OFFSET, (int) pageCount);
    clearDirtyLog.set(JAVA_LONG, ClearDirtyLogLayout.FIRST_PAGE_OFFSET, firstPage);
    clearDirtyLog.set(JAVA_LONG, ClearDirtyLogLayout.BITMAP_OFFSET, bitmap.address());
    try {
      file.ioctl("KVM_CLEAR_DIRTY_LOG", Ioctls.CLEAR_DIRTY_LOG, clearDirtyLog, bitmap);
    } catch (KvmException e) {
      throw e.of("slot " + slotId + ", " + pageCount + " pages from " + firstPage);
    }
  }

  private static void checkBitmap(MemorySegment bitmap, long pageCount) {
    long least = (pageCount + Long.SIZE - 1) / Long.SIZE * Long.BYTES;
    if (!bitmap.isNative() || bitmap.byteSize() < least) {
      throw new IllegalArgumentException(
          "a bitmap of "
              + pageCount
              + " pages has to be native memory, at least "
              + least
              + " bytes: "
              + bitmap);
    }
  }

  /**
   * Gives the harvested entries of all rings back, in the order of their push, and arms their pages
   * (KVM_RESET_DIRTY_RINGS). When it returns, no vCPU can write them unseen; {@code noteResets} of
   * each ring's resetter takes note. No signal reaches the thread meanwhile: the kernel would end
   * early, and leave pages unarmed whose entries it has given back (docs/kvm.md).
   *
   * @return how many entries
   * @throws KvmException {@code EINVAL} if the VM has no rings
   */
  public int resetDirtyRings() {
    synchronized (signals) {
      Libc.blockSignals(signals, unblocked);
      try {
        return resetOnce();
      } finally {
        Libc.unblockSignals(unblocked);
      }
    }
  }

  /** The bare call. */
  int resetOnce() {
    return file.ioctl("KVM_RESET_DIRTY_RINGS", Ioctls.RESET_DIRTY_RINGS, 0);
  }

  /**
   * Makes a vCPU. It is closed with the VM.
   *
   * @param id its id, 0 or more
   * @return the vCPU
   * @throws KvmException if the kernel refuses: {@code EEXIST} if there is one of that id; nothing
   *     is left open
   */
  public KvmVcpu createVcpu(int id) {
    int fd;
    try {
      fd = file.ioctl("KVM_CREATE_VCPU", Ioctls.CREATE_VCPU, id);
    } catch (KvmException e) {
      throw e.of("vCPU " + id);
    }
    return addVcpu(fd, true);
  }

  /**
   * Returns a vCPU that is there already. Its file descriptor stays the caller's, who closes it
   * after the vCPU. Nobody else harvests its ring.
   *
   * @param fd file descriptor of the vCPU
   * @return the vCPU; it is closed with the VM, but not its file descriptor
   * @throws KvmException if it cannot be mapped: {@code EFAULT} if it is no vCPU, or its ring has
   *     fewer entries than was said to {@link Kvm#adoptVm}; nothing is left mapped
   * @throws IllegalArgumentException if its ring has more, likewise
   */
  public KvmVcpu adoptVcpu(int fd) {
    return addVcpu(fd, false);
  }

  private synchronized KvmVcpu addVcpu(int fd, boolean owned) {
    Descriptor vcpuFile = new Descriptor(fd, "the vCPU", owned);
    try {
      if (closed) {
        throw new IllegalStateException(this + " is closed");
      }
      KvmVcpu vcpu = new KvmVcpu(this, vcpuFile, kvm.runSize(), ringEntries);
      vcpus.add(vcpu);
      return vcpu;
    } catch (Throwable e) {
      vcpuFile.close();
      throw e;
    }
  }

  boolean hasInitiallySet() {
    return kvm.hasInitiallySet();
  }

  /** Who collects what the rings hold; once. */
  synchronized void collectBy(KernelRings collector) {
    if (rings != null) {
      throw new IllegalStateException(this + " has a tracker already");
    }
    rings = collector;
  }

  private synchronized @Nullable KernelRings collector() {
    return gone || ringEntries == 0 ? null : rings;
  }

  /** The vCPU does not run any more, and its ring is about to be unmapped. */
  void forget(KvmVcpu vcpu) {
    KernelRings collector = collector();
    if (collector == null) {
      remove(vcpu);
    } else {
      collector.forget(vcpu);
    }
  }

  synchronized void remove(KvmVcpu vcpu) {
    vcpus.remove(vcpu);
  }

  /** The vCPUs that are open. */
  synchronized List<KvmVcpu> vcpus() {
    return List.copyOf(vcpus);
  }

  /** Whether it was closed, and the kernel has no slots of it any more, and runs no vCPU. */
  synchronized boolean isGone() {
    return gone && file.isOwned();
  }

  /**
   * Closes the VM and its vCPUs; those that run are kicked, and their threads waited for. What was
   * in dirty rings is collected by the next take; what a bitmap had that was not fetched is lost
   * with it, and the next take says so. A second call does nothing.
   */
  @Override
  public void close() {
    List<KvmVcpu> last;
    synchronized (this) {
      closed = true; // no vCPU is added any more
      last = List.copyOf(vcpus);
    }
    try {
      close(last, 0);
    } finally {
      synchronized (this) {
        file.close();
        gone = true;
        slots.clear();
      }
    }
  }

  /** While there is the VM, whose rings they empty. */
  private static void close(List<KvmVcpu> vcpus, int first) {
    if (first < vcpus.size()) {
      try {
        vcpus.get(first).close();
      } finally {
        close(vcpus, first + 1);
      }
    }
  }

  @Override
  public String toString() {
    return "KvmVm[" + file + "]";
  }
}
