package dev.smudge.kvm;

/**
 * {@code struct kvm_regs} of x86: the general registers.
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
final class X86RegsLayout {
  static final long SIZE = 144;
  static final long RDI_OFFSET = 40;
  static final long RIP_OFFSET = 128;
  static final long RFLAGS_OFFSET = 136;

  private X86RegsLayout() {}
}
