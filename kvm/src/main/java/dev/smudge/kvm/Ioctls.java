package dev.smudge.kvm;

import dev.smudge.linux.IoctlNumber;

/**
 * Request numbers of KVM's calls, and the numbers of the capabilities that are asked for. They are
 * the same on x86-64 and aarch64.
 *
 * <p>Source: Linux include/uapi/linux/kvm.h.
 */
final class Ioctls {
  private static final int KVMIO = 0xAE;

  // Calls of /dev/kvm.
  static final long GET_API_VERSION = IoctlNumber.io(KVMIO, 0x00);
  static final long CREATE_VM = IoctlNumber.io(KVMIO, 0x01);
  static final long CHECK_EXTENSION = IoctlNumber.io(KVMIO, 0x03);
  static final long GET_VCPU_MMAP_SIZE = IoctlNumber.io(KVMIO, 0x04);

  // Calls of a VM.
  static final long CREATE_VCPU = IoctlNumber.io(KVMIO, 0x41);
  static final long GET_DIRTY_LOG = IoctlNumber.iow(KVMIO, 0x42, DirtyLogLayout.SIZE);
  static final long SET_USER_MEMORY_REGION = IoctlNumber.iow(KVMIO, 0x46, MemoryRegionLayout.SIZE);
  static final long ENABLE_CAP = IoctlNumber.iow(KVMIO, 0xA3, EnableCapLayout.SIZE);
  static final long CLEAR_DIRTY_LOG = IoctlNumber.iowr(KVMIO, 0xC0, ClearDirtyLogLayout.SIZE);
  static final long RESET_DIRTY_RINGS = IoctlNumber.io(KVMIO, 0xC7);

  // Calls of a vCPU.
  static final long RUN = IoctlNumber.io(KVMIO, 0x80);
  static final long GET_REGS = IoctlNumber.ior(KVMIO, 0x81, X86RegsLayout.SIZE);
  static final long SET_REGS = IoctlNumber.iow(KVMIO, 0x82, X86RegsLayout.SIZE);
  static final long GET_SREGS = IoctlNumber.ior(KVMIO, 0x83, X86SregsLayout.SIZE);
  static final long SET_SREGS = IoctlNumber.iow(KVMIO, 0x84, X86SregsLayout.SIZE);

  static final int API_VERSION = 12;

  static final int CAP_USER_MEMORY = 3;
  static final int CAP_NR_MEMSLOTS = 10;
  static final int CAP_SYNC_MMU = 16;
  static final int CAP_IMMEDIATE_EXIT = 136;
  static final int CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168;
  static final int CAP_DIRTY_LOG_RING = 192;
  static final int CAP_DIRTY_LOG_RING_ACQ_REL = 223;
  static final int CAP_DIRTY_LOG_RING_WITH_BITMAP = 225;

  /** Flag of {@link #CAP_MANUAL_DIRTY_LOG_PROTECT2}: a fetch leaves the bits. */
  static final int MANUAL_PROTECT_ENABLE = 1;

  /** Flag of {@link #CAP_MANUAL_DIRTY_LOG_PROTECT2}: logging begins with all bits set. */
  static final int INITIALLY_SET = 2;

  private Ioctls() {}
}
