package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A copy of the registers of an x86-64 vCPU, to start a vCPU or to give one the state of another.
 * No other class depends on the architecture.
 *
 * <p>One thread at a time may use it. The vCPU must not run while its registers are read or
 * written.
 *
 * <p>Source: Linux Documentation/virt/kvm/api.rst 4.11 to 4.14; Intel SDM volume 3, 2.5 and 3.4.5.
 */
public final class X86Registers {
  /** Bytes of {@link #general}. */
  public static final int GENERAL_SIZE = (int) X86RegsLayout.SIZE;

  private static final long CR0_PE = 1;
  private static final long CR0_MP = 1 << 1;
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_NE = 1 << 5;
  private static final long CR0_WP = 1 << 16;
  private static final long CR0_AM = 1 << 18;
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PAE = 1 << 5;
  private static final long CR4_OSFXSR = 1 << 9;
  private static final long CR4_OSXMMEXCPT = 1 << 10;
  private static final long EFER_SCE = 1;
  private static final long EFER_LME = 1 << 8;
  private static final long EFER_LMA = 1 << 10;
  private static final long EFER_NXE = 1 << 11;
  private static final long RFLAGS_ALWAYS = 1 << 1;
  private static final long RFLAGS_IOPL_3 = 3 << 12;

  private static final int CODE = 11; // Segment type: execute, read, accessed.
  private static final int DATA = 3; // Segment type: read, write, accessed.
  private static final int USER = 3;
  private static final int DATA_SELECTOR = 0x20 | USER;
  private static final int CODE_SELECTOR = 0x28 | USER;

  private final MemorySegment general = Arena.ofAuto().allocate(X86RegsLayout.SIZE, Long.BYTES);
  private final MemorySegment special = Arena.ofAuto().allocate(X86SregsLayout.SIZE, Long.BYTES);

  private X86Registers() {}

  /**
   * Reads the registers of a vCPU.
   *
   * @param vcpu the vCPU
   * @return a copy of them
   * @throws KvmException if the kernel refuses
   * @throws IllegalStateException if the vCPU is closed
   */
  public static X86Registers read(KvmVcpu vcpu) {
    X86Registers registers = new X86Registers();
    vcpu.ioctl("KVM_GET_REGS", Ioctls.GET_REGS, registers.general);
    vcpu.ioctl("KVM_GET_SREGS", Ioctls.GET_SREGS, registers.special);
    return registers;
  }

  /**
   * Writes this copy to the registers of a vCPU: the special registers first, then the general
   * ones.
   *
   * @param vcpu the vCPU
   * @throws KvmException if the kernel refuses: {@code EINVAL} if values contradict each other; the
   *     general registers are unchanged then
   * @throws IllegalStateException if the vCPU is closed
   */
  public void write(KvmVcpu vcpu) {
    vcpu.ioctl("KVM_SET_SREGS", Ioctls.SET_SREGS, special);
    vcpu.ioctl("KVM_SET_REGS", Ioctls.SET_REGS, general);
  }

  /**
   * Returns the general registers, {@code struct kvm_regs} of the kernel. The embedder may read and
   * change them; {@link #write} brings a change to a vCPU.
   *
   * @return the record of this copy, {@link #GENERAL_SIZE} bytes
   */
  public MemorySegment general() {
    return general;
  }

  /**
   * Sets this copy to the start of a program: long mode, privilege level 3, flat segments,
   * interrupts off, all I/O ports allowed. Other general registers are 0. It takes effect with
   * {@link #write}.
   *
   * @param pageTable guest-physical address of the top page table
   * @param entry guest-virtual address of the first instruction
   * @param argument value of rdi
   * @return this
   */
  public X86Registers startUser(long pageTable, long entry, long argument) {
    for (long at = X86SregsLayout.DS_OFFSET;
        at <= X86SregsLayout.SS_OFFSET;
        at += X86SregsLayout.SEGMENT_SIZE) {
      segment(at, DATA_SELECTOR, DATA, false);
    }
    segment(X86SregsLayout.CS_OFFSET, CODE_SELECTOR, CODE, true);
    long cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    special.set(JAVA_LONG, X86SregsLayout.CR0_OFFSET, cr0);
    special.set(JAVA_LONG, X86SregsLayout.CR3_OFFSET, pageTable);
    special.set(JAVA_LONG, X86SregsLayout.CR4_OFFSET, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    special.set(JAVA_LONG, X86SregsLayout.EFER_OFFSET, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    general.fill((byte) 0);
    general.set(JAVA_LONG, X86RegsLayout.RIP_OFFSET, entry);
    general.set(JAVA_LONG, X86RegsLayout.RDI_OFFSET, argument);
    general.set(JAVA_LONG, X86RegsLayout.RFLAGS_OFFSET, RFLAGS_ALWAYS | RFLAGS_IOPL_3);
    return this;
  }

  private void segment(long at, int selector, int type, boolean code) {
    special.set(JAVA_LONG, at + X86SregsLayout.BASE_OFFSET, 0);
    special.set(JAVA_INT, at + X86SregsLayout.LIMIT_OFFSET, -1);
    special.set(JAVA_SHORT, at + X86SregsLayout.SELECTOR_OFFSET, (short) selector);
    special.set(JAVA_BYTE, at + X86SregsLayout.TYPE_OFFSET, (byte) type);
    special.set(JAVA_BYTE, at + X86SregsLayout.PRESENT_OFFSET, (byte) 1);
    special.set(JAVA_BYTE, at + X86SregsLayout.DPL_OFFSET, (byte) USER);
    special.set(JAVA_BYTE, at + X86SregsLayout.DB_OFFSET, (byte) (code ? 0 : 1));
    special.set(JAVA_BYTE, at + X86SregsLayout.S_OFFSET, (byte) 1);
    special.set(JAVA_BYTE, at + X86SregsLayout.L_OFFSET, (byte) (code ? 1 : 0));
    special.set(JAVA_BYTE, at + X86SregsLayout.G_OFFSET, (byte) 1);
  }
}
