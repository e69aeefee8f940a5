package dev.smudge.mmu;

import dev.smudge.linux.IoctlNumber;

/**
 * Records and numbers of userfaultfd. They are the same on x86-64 and aarch64, but for the number
 * of the system call.
 *
 * <pre>
 * struct uffdio_api        0        8          16       24
 *                         +--------+----------+--------+
 *                         | api    | features | ioctls |
 *                         +--------+----------+--------+
 *                           u64      u64        u64
 *
 * struct uffdio_register   0        8        16     24       32
 *                         +--------+--------+------+--------+
 *                         | start  | length | mode | ioctls |
 *                         +--------+--------+------+--------+
 *                           u64      u64      u64    u64
 *
 * struct uffdio_range      the first two of these
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/userfaultfd.h; arch/x86/entry/syscalls/syscall_64.tbl;
 * include/uapi/asm-generic/unistd.h.
 */
final class UserfaultLayouts {
  /** Number of the system call; 0 where it is not known here. */
  static final long SYSCALL = number(System.getProperty("os.arch"));

  static final int O_CLOEXEC = 02000000;
  static final int O_NONBLOCK = 04000;

  /** Only faults in user mode are handed to user space: allowed to everybody. */
  static final int USER_MODE_ONLY = 1;

  static final long API = 0xaa;

  /** The kernel resolves write-protect faults by itself. */
  static final long FEATURE_WP_ASYNC = 1L << 15;

  static final long MODE_WP = 1L << 1;

  static final long API_SIZE = 24;
  static final long REGISTER_SIZE = 32;
  static final long RANGE_SIZE = 16;

  static final long UFFDIO_API = IoctlNumber.iowr(0xaa, 0x3f, API_SIZE);
  static final long UFFDIO_REGISTER = IoctlNumber.iowr(0xaa, 0x00, REGISTER_SIZE);
  static final long UFFDIO_UNREGISTER = IoctlNumber.ior(0xaa, 0x01, RANGE_SIZE);

  /** Of {@code /dev/userfaultfd}: a new one, for whom seccomp denies the system call. */
  static final long USERFAULTFD_IOC_NEW = IoctlNumber.io(0xaa, 0x00);

  private UserfaultLayouts() {}

  private static long number(String architecture) {
    return switch (architecture) {
      case "amd64", "x86_64" -> 323;
      case "aarch64" -> 282;
      default -> 0;
    };
  }
}
