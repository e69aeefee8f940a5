package dev.smudge.kvm;

/**
 * {@code struct kvm_enable_cap}: switches a capability on.
 *
 * <pre>
 *  0        4        8                                 40               104
 * +--------+--------+--------+--------+--------+--------+----------------+
 * | cap    | flags  | arg 0  | arg 1  | arg 2  | arg 3  | 0              |
 * +--------+--------+--------+--------+--------+--------+----------------+
 *   u32      u32      u64      u64      u64      u64      64 bytes
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/kvm.h; Documentation/virt/kvm/api.rst 4.37.
 */
final class EnableCapLayout {
  static final long SIZE = 104;
  static final long CAP_OFFSET = 0;
  static final long ARG_0_OFFSET = 8;

  private EnableCapLayout() {}
}
