package dev.smudge.kvm;

/**
 * The head of {@code struct kvm_run}, the record that a vCPU shares with the kernel, as far as it
 * is used here. {@link KvmVcpu#runPage} is the record itself.
 *
 * <pre>
 *  0   1   2        8        12       16       24          32
 * +---+---+--------+--------+--------+--------+-----------+--------------
 * |   | i |        | reason |        | cr8    | apic base | of the exit
 * +---+---+--------+--------+--------+--------+-----------+--------------
 *
 * i       u8, immediate_exit: while it is not 0, KVM_RUN returns EINTR at once
 * reason  u32, why KVM_RUN returned
 *
 * of the exit, EXIT_IO
 *  32     33     34       36       40
 * +------+------+--------+--------+----------------+
 * | out  | size | port   | count  | data offset    |
 * +------+------+--------+--------+----------------+
 *   u8     u8     u16      u32      u64, counted from the begin of kvm_run
 *
 * of the exit, EXIT_MMIO
 *  32               40               48       52
 * +----------------+----------------+--------+----------+
 * | guest address  | data           | size   | is write |
 * +----------------+----------------+--------+----------+
 *   u64              8 bytes          u32      u8
 *
 * of the exit, EXIT_INTERNAL_ERROR: u32 at 32, its kind; EXIT_FAIL_ENTRY: u64 at 32, the reason
 * </pre>
 *
 * <p>All values have the processor's byte order. Source: Linux include/uapi/linux/kvm.h;
 * Documentation/virt/kvm/api.rst 5.
 */
public final class RunLayout {
  /** Offset of immediate_exit, a u8. */
  static final long IMMEDIATE_EXIT_OFFSET = 1;

  /** Offset of the exit reason, a u32. */
  static final long EXIT_REASON_OFFSET = 8;

  /** Offset of what belongs to the exit. */
  public static final long DETAIL_OFFSET = 32;

  /** EXIT_IO: offset of the direction, a u8; 1 is out. */
  public static final long IO_DIRECTION_OFFSET = 32;

  /** EXIT_IO: offset of the bytes of one access, a u8. */
  public static final long IO_SIZE_OFFSET = 33;

  /** EXIT_IO: offset of the port, a u16. */
  static final long IO_PORT_OFFSET = 34;

  /** EXIT_IO: offset of the number of accesses, a u32. */
  public static final long IO_COUNT_OFFSET = 36;

  /** EXIT_IO: offset of a u64 that tells where the data begin, counted from the record's begin. */
  public static final long IO_DATA_OFFSET_OFFSET = 40;

  /** EXIT_MMIO: offset of the guest address, a u64. */
  static final long MMIO_ADDRESS_OFFSET = 32;

  /** Exit reason: an access to an I/O port. */
  public static final int EXIT_IO = 2;

  /** Exit reason: the guest halted. */
  public static final int EXIT_HLT = 5;

  /** Exit reason: an access to a guest address that is in no slot. */
  public static final int EXIT_MMIO = 6;

  /** Exit reason: the guest shut down, mostly by a triple fault. */
  public static final int EXIT_SHUTDOWN = 8;

  /** Exit reason: the processor refused the vCPU's state. */
  public static final int EXIT_FAIL_ENTRY = 9;

  /** Exit reason: a kick, or another signal for the thread. */
  public static final int EXIT_INTR = 10;

  /** Exit reason: KVM cannot go on. */
  public static final int EXIT_INTERNAL_ERROR = 17;

  /** Exit reason: the dirty ring is soft full. The guest did not run. */
  public static final int EXIT_DIRTY_RING_FULL = 31;

  /** The bytes of kvm_run that are used here. */
  static final long MIN_SIZE = 64;

  /** Page of the vCPU's file at which its dirty ring begins, KVM_DIRTY_LOG_PAGE_OFFSET. */
  static final long DIRTY_RING_PAGE = 64;

  private RunLayout() {}
}
