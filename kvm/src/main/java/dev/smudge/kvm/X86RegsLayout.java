package dev.smudge.kvm;

/**
 * {@code struct kvm_regs} of x86: general registers.
 *
 * <pre>
 *  0     8     16    24    32    40    48    56    64        128   136      144
 * +-----+-----+-----+-----+-----+-----+-----+-----+---------+-----+--------+
 * | rax | rbx | rcx | rdx | rsi | rdi | rsp | rbp | r8..r15 | rip | rflags |
 * +-----+-----+-----+-----+-----+-----+-----+-----+---------+-----+--------+
 *   u64 each
 * </pre>
 *
 * <p>Source: Linux arch/x86/include/uapi/asm/kvm.h.
 */
public final class X86RegsLayout {
  /** Bytes of the record. */
  public static final long SIZE = 144;

  /** Offset of rax. */
  public static final long RAX_OFFSET = 0;

  /** Offset of rsi. */
  public static final long RSI_OFFSET = 32;

  /** Offset of rdi. */
  public static final long RDI_OFFSET = 40;

  /** Offset of rsp. */
  public static final long RSP_OFFSET = 48;

  /** Offset of rip. */
  public static final long RIP_OFFSET = 128;

  /** Offset of rflags. */
  public static final long RFLAGS_OFFSET = 136;

  private X86RegsLayout() {}
}
