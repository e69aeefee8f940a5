package dev.smudge.kvm;

/**
 * {@code struct kvm_clear_dirty_log}: which bits of a slot's bitmap to clear.
 *
 * <pre>
 *  0        4        8                16               24
 * +--------+--------+----------------+----------------+
 * | slot   | pages  | first page     | bitmap address |
 * +--------+--------+----------------+----------------+
 *   u32      u32      u64              u64
 *
 * first page  a multiple of 64; bit 0 of the bitmap is this page
 * pages       a multiple of 64, or up to the slot's end
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/kvm.h; Documentation/virt/kvm/api.rst 4.117.
 */
final class ClearDirtyLogLayout {
  static final long SIZE = 24;
  static final long SLOT_OFFSET = 0;
  static final long PAGES_OFFSET = 4;
  static final long FIRST_PAGE_OFFSET = 8;
  static final long BITMAP_OFFSET = 16;

  private ClearDirtyLogLayout() {}
}
