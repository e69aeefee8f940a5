package dev.smudge.linux;

/**
 * {@code struct sigaction} of the C library on 64-bit Linux.
 *
 * <pre>
 *  0          8                 136     140   144        152
 * +----------+-----------------+-------+-----+----------+
 * | handler  | mask            | flags | 0   | restorer |
 * +----------+-----------------+-------+-----+----------+
 *   u64        128 bytes         u32           u64
 * </pre>
 *
 * <p>Source: glibc sysdeps/unix/sysv/linux/bits/sigaction.h; musl include/signal.h.
 */
final class SigactionLayout {
  static final long SIZE = 152;
  static final long HANDLER_OFFSET = 0;

  private SigactionLayout() {}
}
