package dev.smudge.kvm;

/**
 * {@code struct kvm_sregs} of x86: segments, descriptor tables and control registers.
 *
 * <pre>
 *  0    24   48   72   96   120  144  168   192   208   224
 * +----+----+----+----+----+----+----+-----+-----+-----+-----
 * | cs | ds | es | fs | gs | ss | tr | ldt | gdt | idt |
 * +----+----+----+----+----+----+----+-----+-----+-----+-----
 *   kvm_segment each                         kvm_dtable each
 *
 *  224   232   240   248   256   264    272         280                312
 * +-----+-----+-----+-----+-----+------+-----------+------------------+
 * | cr0 | cr2 | cr3 | cr4 | cr8 | efer | apic base | interrupt bitmap |
 * +-----+-----+-----+-----+-----+------+-----------+------------------+
 *   u64 each                                         4 u64
 *
 * kvm_segment
 *  0      8       12         14     15   16  17  18  19  20  21  22   23  24
 * +------+-------+----------+------+----+---+---+---+---+---+---+----+---+
 * | base | limit | selector | type | p  |dpl| db| s | l | g |avl| un | 0 |
 * +------+-------+----------+------+----+---+---+---+---+---+---+----+---+
 *   u64    u32     u16        u8 each
 *
 * kvm_dtable
 *  0      8       10        16
 * +------+-------+---------+
 * | base | limit | 0       |
 * +------+-------+---------+
 *   u64    u16     3 u16
 * </pre>
 *
 * <p>Source: Linux arch/x86/include/uapi/asm/kvm.h.
 */
final class X86SregsLayout {
  static final long SIZE = 312;
  static final long SEGMENT_SIZE = 24;
  static final long CS_OFFSET = 0;
  static final long DS_OFFSET = 24;
  static final long SS_OFFSET = 120;
  static final long CR0_OFFSET = 224;
  static final long CR3_OFFSET = 240;
  static final long CR4_OFFSET = 248;
  static final long EFER_OFFSET = 264;
  static final long BASE_OFFSET = 0;
  static final long LIMIT_OFFSET = 8;
  static final long SELECTOR_OFFSET = 12;
  static final long TYPE_OFFSET = 14;
  static final long PRESENT_OFFSET = 15;
  static final long DPL_OFFSET = 16;
  static final long DB_OFFSET = 17;
  static final long S_OFFSET = 18;
  static final long L_OFFSET = 19;
  static final long G_OFFSET = 20;

  private X86SregsLayout() {}
}
