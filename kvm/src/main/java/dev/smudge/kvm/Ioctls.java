package dev.smudge.kvm;

/**
 * Numbers of the calls, and of the capabilities that are asked for.
 *
 * <pre>
 *  31 30 29            16 15       8 7        0
 * +-----+----------------+----------+----------+
 * | dir | argument bytes | type     | number   |
 * +-----+----------------+----------+----------+
 *
 * dir   0 none, 1 the kernel reads the argument (_IOW), 2 it writes it (_IOR), 3 both
 * type  0xAE, KVMIO
 * </pre>
 *
 * <p>The same on x86 and ARM. Source: Linux include/uapi/asm-generic/ioctl.h;
 * include/uapi/linux/kvm.h.
 */
final class Ioctls {
  private static final int WRITE = 1;
  private static final int READ = 2;
  private static final int KVMIO = 0xAE;

  // of /dev/kvm
  static final long GET_API_VERSION = io(0x00);
  static final long CREATE_VM = io(0x01);
  static final long CHECK_EXTENSION = io(0x03);
  static final long GET_VCPU_MMAP_SIZE = io(0x04);

  // of a VM
  static final long CREATE_VCPU = io(0x41);
  static final long GET_DIRTY_LOG = iow(0x42, DirtyLogLayout.SIZE);
  static final long SET_USER_MEMORY_REGION = iow(0x46, MemoryRegionLayout.SIZE);
  static final long ENABLE_CAP = iow(0xA3, EnableCapLayout.SIZE);
  static final long CLEAR_DIRTY_LOG = iowr(0xC0, ClearDirtyLogLayout.SIZE);
  static final long RESET_DIRTY_RINGS = io(0xC7);

  // of a vCPU
  static final long RUN = io(0x80);
  static final long GET_REGS = ior(0x81, X86RegsLayout.SIZE);
  static final long SET_REGS = iow(0x82, X86RegsLayout.SIZE);
  static final long GET_SREGS = ior(0x83, X86SregsLayout.SIZE);
  static final long SET_SREGS = iow(0x84, X86SregsLayout.SIZE);

  static final int API_VERSION = 12;

  static final int CAP_USER_MEMORY = 3;
  static final int CAP_NR_MEMSLOTS = 10;
  static final int CAP_SYNC_MMU = 16;
  static final int CAP_IMMEDIATE_EXIT = 136;
  static final int CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168;
  static final int CAP_DIRTY_LOG_RING = 192;
  static final int CAP_DIRTY_LOG_RING_ACQ_REL = 223;
  static final int CAP_DIRTY_LOG_RING_WITH_BITMAP = 225;

  /** Flags of {@link #CAP_MANUAL_DIRTY_LOG_PROTECT2}. */
  static final int MANUAL_PROTECT_ENABLE = 1;

  static final int INITIALLY_SET = 2;

  private Ioctls() {}

  private static long io(int number) {
    return number(0, number, 0);
  }

  private static long iow(int number, long size) {
    return number(WRITE, number, size);
  }

  private static long ior(int number, long size) {
    return number(READ, number, size);
  }

  private static long iowr(int number, long size) {
    return number(WRITE | READ, number, size);
  }

  private static long number(int direction, int number, long size) {
    return (long) direction << 30 | size << 16 | KVMIO << 8 | number;
  }
}
