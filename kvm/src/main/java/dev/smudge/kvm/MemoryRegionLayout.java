package dev.smudge.kvm;

/**
 * {@code struct kvm_userspace_memory_region}: a memory slot.
 *
 * <pre>
 *  0        4        8                16               24               32
 * +--------+--------+----------------+----------------+----------------+
 * | slot   | flags  | guest address  | bytes          | address here   |
 * +--------+--------+----------------+----------------+----------------+
 *   u32      u32      u64              u64              u64
 *
 * slot   slot id in the low 16 bits, address space above
 * flags  bit 0 log dirty pages, bit 1 read-only
 * bytes  0 deletes the slot
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/kvm.h; Documentation/virt/kvm/api.rst 4.35.
 */
final class MemoryRegionLayout {
  static final long SIZE = 32;
  static final long SLOT_OFFSET = 0;
  static final long FLAGS_OFFSET = 4;
  static final long GUEST_ADDRESS_OFFSET = 8;
  static final long BYTES_OFFSET = 16;
  static final long USER_ADDRESS_OFFSET = 24;

  private MemoryRegionLayout() {}
}
