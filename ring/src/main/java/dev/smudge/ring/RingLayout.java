package dev.smudge.ring;

/**
 * The entry of a dirty ring, as the kernel lays it out ({@code struct kvm_dirty_gfn}): 16 bytes, in
 * the byte order of the machine.
 *
 * <pre>
 *  0        4        8                16
 * +--------+--------+----------------+
 * | flags  | slot   | page offset    |
 * +--------+--------+----------------+
 *   u32      u32      u64
 *
 * flags  bit 0 DIRTY, bit 1 RESET     00 free, 01 dirty, 1x harvested
 * slot   slot id in the low 16 bits, address space above
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/kvm.h; Documentation/virt/kvm/api.rst 8.29
 * (KVM_CAP_DIRTY_LOG_RING).
 */
public final class RingLayout {
  /** Bytes of an entry. */
  public static final int ENTRY_SIZE = 16;

  /** Offset of the flags, a u32. */
  public static final int FLAGS_OFFSET = 0;

  /** Offset of the slot, a u32. */
  public static final int SLOT_OFFSET = 4;

  /** Offset of the page's index in its slot, a u64. */
  public static final int PAGE_OFFSET = 8;

  /** Flag: the producer has filled the entry. */
  public static final int DIRTY = 1;

  /** Flag: the collector has read it; the entry may be given back. */
  public static final int RESET = 2;

  private RingLayout() {}

  /**
   * Returns whether an entry waits for the collector.
   *
   * @param flags its flags
   * @return true if it is dirty and not harvested
   */
  public static boolean isDirty(int flags) {
    return (flags & (DIRTY | RESET)) == DIRTY;
  }

  /**
   * Returns whether an entry waits for a reset.
   *
   * @param flags its flags; DIRTY and RESET together count as harvested
   * @return true if it is harvested
   */
  public static boolean isHarvested(int flags) {
    return (flags & RESET) != 0;
  }
}
