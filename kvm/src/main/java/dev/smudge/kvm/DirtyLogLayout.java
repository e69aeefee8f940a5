package dev.smudge.kvm;

/**
 * {@code struct kvm_dirty_log}: asks for a slot's bitmap.
 *
 * <pre>
 *  0        4        8                16
 * +--------+--------+----------------+
 * | slot   | 0      | bitmap address |
 * +--------+--------+----------------+
 *   u32      u32      u64
 *
 * bitmap  one bit a page, as u64 words: the slot's pages rounded up to 64 are written
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/kvm.h; Documentation/virt/kvm/api.rst 4.8.
 */
final class DirtyLogLayout {
  static final long SIZE = 16;
  static final long SLOT_OFFSET = 0;
  static final long BITMAP_OFFSET = 8;

  private DirtyLogLayout() {}
}
