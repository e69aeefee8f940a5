package dev.smudge.linux;

/**
 * {@code sigset_t} of the C library on 64-bit Linux.
 *
 * <pre>
 *  0             8                                128
 * +-------------+---------------------------------+
 * | 1 to 64     | 0                               |
 * +-------------+---------------------------------+
 *   u64           120 bytes
 *
 * bit n of the first word  signal n + 1
 * </pre>
 *
 * <p>Linux has 64 signals; the C library leaves room for more. Source: glibc
 * sysdeps/unix/sysv/linux/bits/types/__sigset_t.h; musl arch/generic/bits/alltypes.h.in.
 */
final class SigsetLayout {
  static final long SIZE = 128;
  static final long FIRST_WORD_OFFSET = 0;

  private SigsetLayout() {}

  /** The bit of a signal, 1 to 64, in the first word. */
  static long bit(int signal) {
    return 1L << (signal - 1);
  }
}
