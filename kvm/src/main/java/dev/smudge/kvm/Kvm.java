package dev.smudge.kvm;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingLayout;

/**
 * The kernel's virtual machine monitor, {@code /dev/kvm}.
 *
 * <p>From any thread. Its VMs go on when it is closed.
 *
 * <p>Source: Documentation/virt/kvm/api.rst 4.1 to 4.5.
 */
public final class Kvm implements AutoCloseable {
  private static final String PATH = "/dev/kvm";

  private final Descriptor file;
  private final int runSize;
  private final int pageSize;

  private Kvm(Descriptor file) {
    this.file = file;
    int version = file.ioctl("KVM_GET_API_VERSION", Ioctls.GET_API_VERSION, 0);
    if (version != Ioctls.API_VERSION) {
      throw new UnsupportedOperationException(
          "KVM has API version " + version + ", it has to be " + Ioctls.API_VERSION);
    }
    require("KVM_CAP_USER_MEMORY", Ioctls.CAP_USER_MEMORY);
    require("KVM_CAP_SYNC_MMU", Ioctls.CAP_SYNC_MMU);
    require("KVM_CAP_IMMEDIATE_EXIT", Ioctls.CAP_IMMEDIATE_EXIT);
    this.runSize = file.ioctl("KVM_GET_VCPU_MMAP_SIZE", Ioctls.GET_VCPU_MMAP_SIZE, 0);
    this.pageSize = Libc.pageSize();
  }

  /**
   * Opens it.
   *
   * @return it
   * @throws KvmException if it cannot be opened: {@code ENOENT}, {@code EACCES} and others
   * @throws UnsupportedOperationException if it is of another version, or lacks what every VM here
   *     needs; nothing is left open
   */
  public static Kvm open() {
    return open(PATH);
  }

  static Kvm open(String path) {
    Descriptor file = Descriptor.open(path);
    try {
      return new Kvm(file);
    } catch (Throwable e) {
      file.close();
      throw e;
    }
  }

  private void require(String name, int capability) {
    if (extension(capability) == 0) {
      throw missing(name);
    }
  }

  static UnsupportedOperationException missing(String capability) {
    return new UnsupportedOperationException("this kernel lacks " + capability);
  }

  /** What the kernel says of a capability: 0 if it lacks it. */
  private int extension(int capability) {
    return file.ioctl("KVM_CHECK_EXTENSION", Ioctls.CHECK_EXTENSION, capability);
  }

  /** {@return the most slots of a VM} */
  public int maxSlots() {
    return extension(Ioctls.CAP_NR_MEMSLOTS);
  }

  /** {@return the most entries of a dirty ring; 0 if the kernel has no dirty rings} */
  public int maxRingEntries() {
    int bytes =
        Math.max(
            extension(Ioctls.CAP_DIRTY_LOG_RING), extension(Ioctls.CAP_DIRTY_LOG_RING_ACQ_REL));
    return bytes / RingLayout.ENTRY_SIZE;
  }

  /** {@return whether a fetch can leave the bits, to be cleared later range by range} */
  public boolean hasManualProtect() {
    return (extension(Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2) & Ioctls.MANUAL_PROTECT_ENABLE) != 0;
  }

  /** {@return whether logging can begin with all bits set and no page armed} */
  public boolean hasInitiallySet() {
    return (extension(Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2) & Ioctls.INITIALLY_SET) != 0;
  }

  /** {@return the bytes of a page: what the kernel tracks} */
  public int pageSize() {
    return pageSize;
  }

  /** Bytes of a vCPU's kvm_run mapping. */
  int runSize() {
    return runSize;
  }

  /**
   * Makes a VM.
   *
   * @return a VM without slots and vCPUs
   * @throws KvmException if the kernel refuses
   * @throws IllegalStateException if this is closed
   */
  public KvmVm createVm() {
    int fd = file.ioctl("KVM_CREATE_VM", Ioctls.CREATE_VM, 0);
    return new KvmVm(this, new Descriptor(fd, "the VM", true), 0);
  }

  /**
   * Returns a VM that is there already. Its file descriptor stays the caller's, who closes it after
   * the VM.
   *
   * @param fd file descriptor of the VM
   * @param ringEntries entries of the dirty ring that was switched on for it, 0 if none was
   * @return the VM; it knows of no slot: {@link KvmVm#adoptSlot}
   * @throws IllegalArgumentException if {@code fd} is negative, or a ring cannot have that size
   */
  public KvmVm adoptVm(int fd, int ringEntries) {
    if (ringEntries != 0) {
      DirtyRing.checkSize(ringEntries, 0);
    }
    return new KvmVm(this, new Descriptor(fd, "the VM", false), ringEntries);
  }

  /** Closes it. A second call does nothing. */
  @Override
  public void close() {
    file.close();
  }

  @Override
  public String toString() {
    return "Kvm[" + file + "]";
  }
}
