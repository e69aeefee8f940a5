package dev.smudge.kvm;

import dev.smudge.sync.internal.stack.StackRoom;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A KVM virtual machine: memory slots, their dirty logs, and vCPUs.
 *
 * <p>Any thread may call the methods; calls to one VM run one after the other. The fetch and the
 * clear of a dirty log allocate nothing.
 *
 * <p>The RAM of a slot has to stay mapped until the slot is deleted or the VM closed: the guest
 * writes to the slot's address in this process, even if other data is there by then.
 *
 * <p>Source: Linux Documentation/virt/kvm/api.rst, the calls that are named below.
 */
public final class KvmVm implements AutoCloseable {
  /** Slot flag: log dirty pages (KVM_MEM_LOG_DIRTY_PAGES). */
  public static final int LOG_DIRTY_PAGES = 1;

  /** Slot flag: a write of the guest ends its run (KVM_MEM_READONLY). */
  public static final int READ_ONLY = 2;

  /** The VMs that have a tracker and are open. */
  private static final Map<KvmVm, Boolean> TRACKED =
      Collections.synchronizedMap(new WeakHashMap<>());

  private final Kvm kvm;
  private final KvmFile file;
  private final VmCapabilities capabilities;
  private final VmSlots slots;

  // All are guarded by this.
  private final List<KvmVcpu> vcpus = new ArrayList<>();
  private boolean closed;
  private boolean gone; // The VM is closed, and so are its vCPUs.
  private @Nullable KernelRings rings;

  KvmVm(Kvm kvm, KvmFile file, int ringEntries) {
    this.kvm = kvm;
    this.file = file;
    this.capabilities = new VmCapabilities(file, kvm.pageSize(), ringEntries);
    this.slots = new VmSlots(file, kvm.pageSize());
  }

  /**
   * Returns the file descriptor, for calls that this class does not have. It must not be closed,
   * and must not be used after {@link #close}.
   *
   * @return the number of the file descriptor
   * @throws IllegalStateException if the VM is closed
   */
  public int fd() {
    return file.fd();
  }

  /** {@return the bytes of a page} */
  public int pageSize() {
    return kvm.pageSize();
  }

  /**
   * Gives each vCPU a dirty ring. The kernel then reports dirty pages there and no longer in the
   * slots' bitmaps. If the kernel has a bitmap beside the rings, for writes that no vCPU makes,
   * this switches it on too.
   *
   * <p>Once per VM, before the first vCPU and the first slot.
   *
   * @param entries entries per ring: a power of two, and at least a page of 16-byte entries
   * @throws IllegalArgumentException if {@code entries} is not; nothing is changed
   * @throws UnsupportedOperationException if the kernel has no dirty rings; nothing is changed
   * @throws IllegalStateException if the VM is closed, or if its logs begin with all bits set,
   *     which rings exclude; nothing is changed
   * @throws KvmException if the kernel refuses: {@code E2BIG} if the ring is too large ({@link
   *     Kvm#maxRingEntries}), {@code EINVAL} if it was set before or the VM has a vCPU; the VM has
   *     no rings
   */
  public void enableDirtyRing(int entries) {
    capabilities.enableDirtyRing(entries);
  }

  /** {@return the entries of each vCPU's dirty ring; 0 if dirty pages are logged in bitmaps} */
  public int ringEntries() {
    return capabilities.ringEntries();
  }

  /** Whether there is a bitmap beside the rings. */
  boolean hasRingBitmap() {
    return capabilities.hasRingBitmap();
  }

  /** Whether logging can begin with all bits set and no page armed. */
  boolean hasInitiallySet() {
    return capabilities.hasInitiallySet();
  }

  /**
   * Lets a fetch leave the bits, which {@link #clearDirtyLog} clears later. Has to come before the
   * first slot with a log.
   *
   * @param initiallySet whether logging begins with all bits set and no page armed; not with dirty
   *     rings ({@link VmCapabilities})
   * @throws UnsupportedOperationException if the kernel lacks it
   * @throws IllegalStateException if {@code initiallySet}, and the VM has dirty rings
   * @throws KvmException if the kernel refuses
   */
  void enableManualProtect(boolean initiallySet) {
    capabilities.enableManualProtect(initiallySet);
  }

  /** For tests that make bare calls. */
  VmCapabilities capabilities() {
    return capabilities;
  }

  /**
   * Makes a slot, or changes the flags or the guest address of one that exists
   * (KVM_SET_USER_MEMORY_REGION). A slot that moves keeps its bitmap; one whose log is switched off
   * loses it.
   *
   * @param slotId number of the slot
   * @param flags {@link #LOG_DIRTY_PAGES}, {@link #READ_ONLY}, both or 0
   * @param guestAddress guest-physical address of its first byte, a multiple of the page size
   * @param ram its RAM: whole pages of native memory, none of which another slot has, unless both
   *     are {@link #READ_ONLY}
   * @throws IllegalArgumentException if {@code ram} is not; nothing is changed
   * @throws IllegalStateException if the VM is closed; or if the slot is that of a {@code
   *     GuestMemory} over a {@link KvmTracker}, which changes it; nothing is changed
   * @throws KvmException if the kernel refuses: {@code EEXIST} if it would overlap another slot,
   *     {@code EINVAL} if an argument is unaligned, wraps or is out of range, or if an existing
   *     slot would get another size, RAM or read-only flag; nothing is changed
   */
  public void setSlot(int slotId, int flags, long guestAddress, MemorySegment ram) {
    slots.set(slotId, flags, guestAddress, ram);
  }

  /**
   * Makes a slot known that the embedder has made by its own call, so that its log can be fetched.
   *
   * @param slotId number of the slot
   * @param ram its RAM, as the kernel has it: whole pages of native memory
   * @throws IllegalArgumentException if {@code ram} is not
   */
  void adoptSlot(int slotId, MemorySegment ram) {
    slots.adopt(slotId, ram);
  }

  /**
   * Deletes a slot. Its bitmap is lost.
   *
   * @param slotId number of the slot
   * @throws IllegalStateException if the VM is closed; or if the slot is that of a {@code
   *     GuestMemory} over a {@link KvmTracker}, which removes it; nothing is changed
   * @throws KvmException {@code EINVAL} if there is no such slot
   */
  public void deleteSlot(int slotId) {
    slots.delete(slotId);
  }

  /**
   * Copies the bitmap of a slot (KVM_GET_DIRTY_LOG). The kernel also clears the bits and arms their
   * pages, unless a {@link KvmTracker} has switched manual protect on; then they stay until {@link
   * #clearDirtyLog}.
   *
   * @param slotId number of a slot that {@link #setSlot} has made
   * @param bitmap gets the bits: bit n of word w stands for page {@code 64 * w + n}. Native memory
   *     with room for all pages of the slot, rounded up to 64
   * @throws IllegalArgumentException if {@code bitmap} is on the heap or too small, or if the slot
   *     is unknown; nothing is fetched
   * @throws IllegalStateException if the VM is closed
   * @throws KvmException {@code ENOENT} if the slot's log is off, {@code ENXIO} if the VM has rings
   *     and no bitmap beside them; no bit is lost
   */
  public void getDirtyLog(int slotId, MemorySegment bitmap) {
    slots.getDirtyLog(slotId, bitmap);
  }

  /**
   * Clears bits of a slot's bitmap, and arms their pages (KVM_CLEAR_DIRTY_LOG). Once it returns, no
   * vCPU can write one of these pages unreported: the kernel has flushed the TLBs of all vCPUs.
   *
   * <p>Not for a slot that a {@link KvmTracker} tracks, except to measure: its clients are not told
   * of pages that were cleared here before they were fetched.
   *
   * @param slotId number of the slot
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range, 0 to 2<sup>32</sup> - 1: a multiple of 64, or up to the
   *     end of the slot
   * @param bitmap bit n of word w: clear page {@code firstPage + 64 * w + n}. Native memory with a
   *     bit per page of the range, rounded up to 64
   * @throws IllegalArgumentException if {@code bitmap} is on the heap or too small, or {@code
   *     pageCount} is out of range; nothing is changed
   * @throws IllegalStateException if the VM is closed
   * @throws KvmException {@code EINVAL} if the range is unaligned or reaches outside the slot,
   *     {@code ENOENT} if there is no such slot or its log is off; nothing is changed
   */
  public void clearDirtyLog(int slotId, long firstPage, long pageCount, MemorySegment bitmap) {
    slots.clearDirtyLog(slotId, firstPage, pageCount, bitmap);
  }

  /** For the slots of a tracker, and for tests that make bare calls. */
  VmSlots slots() {
    return slots;
  }

  /**
   * Gives the harvested entries of all rings back to the kernel, in the order in which it pushed
   * them, and arms their pages (KVM_RESET_DIRTY_RINGS). Once it returns, no vCPU can write one of
   * these pages unreported; {@code noteResets} of each ring's resetter sees the entries free.
   *
   * <p>No signal reaches the thread meanwhile. The kernel would end the reset early, and leave
   * pages unarmed whose entries it has given back (docs/kvm.md).
   *
   * @return how many entries the kernel took back
   * @throws KvmException {@code EINVAL} if the VM has no rings
   */
  int resetDirtyRings() {
    return file.ioctlWithoutSignals("KVM_RESET_DIRTY_RINGS", Ioctls.RESET_DIRTY_RINGS, 0);
  }

  /** The bare call KVM_RESET_DIRTY_RINGS, which a signal can end early. */
  int resetOnce() {
    return file.ioctl("KVM_RESET_DIRTY_RINGS", Ioctls.RESET_DIRTY_RINGS, 0);
  }

  /**
   * Makes a vCPU. {@link #close} of the VM closes it.
   *
   * @param id its id, 0 or more
   * @return the vCPU
   * @throws KvmException if the kernel refuses: {@code EEXIST} if there is one with that id;
   *     nothing is left open
   * @throws IllegalStateException if the VM is closed
   */
  public KvmVcpu createVcpu(int id) {
    int fd;
    try {
      fd = file.ioctl("KVM_CREATE_VCPU", Ioctls.CREATE_VCPU, id);
    } catch (KvmException e) {
      throw e.of("vCPU " + id);
    }
    return addVcpu(KvmFile.owned(fd, "the vCPU"));
  }

  /**
   * Uses an existing vCPU of the embedder. The embedder closes its file descriptor after this vCPU,
   * and must not touch its dirty ring.
   *
   * @param fd file descriptor of the vCPU
   * @return the vCPU; {@link #close} of the VM closes it, but not its file descriptor
   * @throws KvmException if it cannot be mapped: {@code EFAULT} if {@code fd} is no vCPU, or if its
   *     ring has fewer entries than {@link Kvm#adoptVm} was told; nothing is left mapped
   * @throws IllegalArgumentException if {@code fd} is negative, or if the ring has more entries
   *     than {@link Kvm#adoptVm} was told; nothing is left mapped
   * @throws IllegalStateException if the VM is closed
   */
  public KvmVcpu adoptVcpu(int fd) {
    return addVcpu(KvmFile.borrowed(fd, "the vCPU"));
  }

  private synchronized KvmVcpu addVcpu(KvmFile vcpuFile) {
    try {
      if (closed) {
        throw new IllegalStateException(this + " is closed");
      }
      KvmVcpu vcpu = new KvmVcpu(this, vcpuFile, kvm.runSize(), ringEntries());
      vcpus.add(vcpu);
      return vcpu;
    } catch (Throwable e) {
      vcpuFile.close();
      throw e;
    }
  }

  /** Sets who collects what the rings hold, once per VM. */
  synchronized void collectBy(KernelRings collector) {
    if (rings != null) {
      throw new IllegalStateException(this + " has a tracker already");
    }
    synchronized (TRACKED) {
      for (KvmVm other : TRACKED.keySet()) {
        if (other.fd() == fd()) {
          throw new IllegalStateException(
              this
                  + " is a VM that has a tracker already, by another KvmVm of the same file"
                  + " descriptor: what one tracker fetches and clears the other would miss. Close"
                  + " that KvmVm first");
        }
      }
      TRACKED.put(this, true);
    }
    rings = collector;
  }

  private synchronized @Nullable KernelRings collector() {
    return gone || ringEntries() == 0 ? null : rings;
  }

  /** Removes a vCPU that does not run any more and whose ring is about to be unmapped. */
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

  /** Whether the VM is closed, so that the kernel has none of its slots and runs no vCPU of it. */
  synchronized boolean isGone() {
    return gone && file.isOwned();
  }

  /**
   * Closes the VM and its vCPUs. vCPUs that run are kicked, and this waits for their threads to
   * leave the guest. The next take still finds the pages of the dirty rings. Bits of a bitmap that
   * were not fetched are lost with the VM, and the next take throws and says so. A second call does
   * nothing. If it throws an {@link Error}, call it again: rings may hold pages that no take has
   * found.
   */
  @Override
  public void close() {
    List<KvmVcpu> last;
    synchronized (this) {
      closed = true; // No vCPU is added any more.
      last = List.copyOf(vcpus);
    }
    StackRoom.check(StackRoom.RELEASE);
    try {
      close(last, 0);
    } catch (RuntimeException e) {
      closeFile();
      throw e;
    }
    closeFile(); // not after an Error: rings that are not empty yet need the VM
  }

  private void closeFile() {
    TRACKED.remove(this); // first: those that are there are open
    synchronized (this) {
      file.close();
      gone = true;
      slots.clear();
    }
  }

  /** The vCPUs go first: each empties its ring with a call to the VM. */
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
