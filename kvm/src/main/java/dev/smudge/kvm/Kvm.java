package dev.smudge.kvm;

import dev.smudge.linux.Libc;
import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingLayout;

/**
 * The virtual machine monitor of the Linux kernel, {@code /dev/kvm}: makes VMs.
 *
 * <p>Any thread may call the methods. Its VMs go on after it is closed.
 *
 * <p>Source: Linux Documentation/virt/kvm/api.rst 4.1 to 4.5.
 */
public final class Kvm implements AutoCloseable {
  private static final String PATH = "/dev/kvm";

  private final KvmFile file;
  private final int runSize;
  private final int pageSize;

  private Kvm(KvmFile file) {
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
   * Opens {@code /dev/kvm}.
   *
   * @return the open device
   * @throws KvmException if it cannot be opened: {@code ENOENT} if there is none, {@code EACCES} if
   *     this process may not use it, and others; nothing is left open
   * @throws UnsupportedOperationException if KVM has another API version, or lacks a capability
   *     that every VM needs here; if the JVM denies native access, with the flag that grants it; or
   *     if this is not Linux. Nothing is left open
   */
  public static Kvm open() {
    return open(PATH);
  }

  static Kvm open(String path) {
    KvmFile file = KvmFile.open(path);
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

  /** The kernel's answer about a capability, 0 if it lacks it. */
  private int extension(int capability) {
    return file.ioctl("KVM_CHECK_EXTENSION", Ioctls.CHECK_EXTENSION, capability);
  }

  /** The most slots that a VM can have. */
  int maxSlots() {
    return extension(Ioctls.CAP_NR_MEMSLOTS);
  }

  /**
   * Returns the largest dirty ring that the kernel offers.
   *
   * @return its entries; 0 if the kernel has no dirty rings
   * @throws IllegalStateException if this is closed
   */
  public int maxRingEntries() {
    int bytes =
        Math.max(
            extension(Ioctls.CAP_DIRTY_LOG_RING), extension(Ioctls.CAP_DIRTY_LOG_RING_ACQ_REL));
    return bytes / RingLayout.ENTRY_SIZE;
  }

  /** The bytes of a page, the unit that the kernel tracks. */
  int pageSize() {
    return pageSize;
  }

  /** The bytes of a vCPU's kvm_run mapping. */
  int runSize() {
    return runSize;
  }

  /**
   * Makes a VM. It stays open when this is closed.
   *
   * @return a VM without slots and vCPUs
   * @throws KvmException if the kernel refuses; nothing is left open, also after an error
   * @throws IllegalStateException if this is closed
   */
  public KvmVm createVm() {
    int fd = file.ioctl("KVM_CREATE_VM", Ioctls.CREATE_VM, 0);
    KvmFile vm = KvmFile.owned(fd, "the VM");
    try {
      return new KvmVm(this, vm, 0);
    } catch (Error e) {
      vm.close();
      throw e;
    }
  }

  /**
   * Uses an existing VM of the embedder, which closes the VM's file descriptor after the returned
   * object.
   *
   * @param fd file descriptor of the VM
   * @param ringEntries entries per dirty ring if the VM has dirty rings, else 0
   * @return the VM; the returned object knows only the slots that {@link KvmVm#setSlot} makes
   * @throws IllegalArgumentException if {@code fd} is negative, or a ring cannot have that size
   */
  public KvmVm adoptVm(int fd, int ringEntries) {
    if (ringEntries != 0) {
      DirtyRing.checkSize(ringEntries, 0);
    }
    return new KvmVm(this, KvmFile.borrowed(fd, "the VM"), ringEntries);
  }

  /** Closes the device. Its VMs go on. A second call does nothing. */
  @Override
  public void close() {
    file.close();
  }

  @Override
  public String toString() {
    return "Kvm[" + file + "]";
  }
}
