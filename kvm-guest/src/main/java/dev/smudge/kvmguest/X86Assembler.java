package dev.smudge.kvmguest;

import java.util.Arrays;

/**
 * Assembles the few 64-bit instructions that the guest consists of.
 *
 * <p>An instruction with two operands is REX.W (64-bit operands), the opcode, and a ModRM byte:
 *
 * <pre>
 *  7   6 5   3 2   0
 * +-----+-----+-----+
 * | mod | reg | r/m |     mod 0: [r/m], 1: [r/m + byte], 3: r/m itself
 * +-----+-----+-----+
 * </pre>
 *
 * <p>Source: Intel SDM volume 2, 2.1.5 and 3 to 5.
 */
final class X86Assembler {
  static final int RAX = 0;
  static final int RCX = 1;
  static final int RDX = 2;
  static final int RBP = 5;
  static final int RSI = 6;
  static final int RDI = 7;

  private static final int REX_W = 0x48;
  private static final int MEMORY = 0;
  private static final int MEMORY_BYTE_OFFSET = 1;
  private static final int REGISTER = 3;

  private final byte[] code = new byte[256];
  private int size;

  /** Where the next instruction will stand: a target of jumps back. */
  int here() {
    return size;
  }

  byte[] code() {
    return Arrays.copyOf(code, size);
  }

  private void bytes(int... values) {
    for (int value : values) {
      code[size++] = (byte) value;
    }
  }

  private static int modRm(int mod, int reg, int rm) {
    return mod << 6 | reg << 3 | rm;
  }

  /** {@code mov to, [from]}. */
  void load(int to, int from) {
    bytes(REX_W, 0x8B, modRm(MEMORY, to, from));
  }

  /** {@code mov to, [from + offset]}. */
  void load(int to, int from, int offset) {
    bytes(REX_W, 0x8B, modRm(MEMORY_BYTE_OFFSET, to, from), offset);
  }

  /** {@code mov [to + offset], from}. */
  void store(int to, int offset, int from) {
    bytes(REX_W, 0x89, modRm(MEMORY_BYTE_OFFSET, from, to), offset);
  }

  /** {@code xchg [at], register}. */
  void exchange(int at, int register) {
    bytes(REX_W, 0x87, modRm(MEMORY, register, at));
  }

  /** {@code inc qword [at + offset]}. */
  void incrementMemory(int at, int offset) {
    bytes(REX_W, 0xFF, modRm(MEMORY_BYTE_OFFSET, 0, at), offset);
  }

  /** {@code imul register, register, value}. */
  void multiply(int register, int value) {
    bytes(REX_W, 0x6B, modRm(REGISTER, register, register), value);
  }

  /** {@code add to, from}. */
  void addRegister(int to, int from) {
    bytes(REX_W, 0x01, modRm(REGISTER, from, to));
  }

  /** {@code add register, value}. */
  void add(int register, int value) {
    bytes(REX_W, 0x83, modRm(REGISTER, 0, register), value);
  }

  /** {@code dec register}: zero sets the zero flag. */
  void decrement(int register) {
    bytes(REX_W, 0xFF, modRm(REGISTER, 1, register));
  }

  /** {@code test register, register}: zero sets the zero flag. */
  void testZero(int register) {
    bytes(REX_W, 0x85, modRm(REGISTER, register, register));
  }

  /** {@code test qword [at + offset], bits}: none of them sets the zero flag. */
  void testBits(int at, int offset, int bits) {
    bytes(REX_W, 0xF7, modRm(MEMORY_BYTE_OFFSET, 0, at), offset, bits, 0, 0, 0);
  }

  /** {@code out port, al}. */
  void out(int port) {
    bytes(0xE6, port);
  }

  /** {@code jmp target}, back. */
  void jump(int target) {
    bytes(0xEB, 0);
    to(here(), target);
  }

  /** {@code jnz target}, back. */
  void jumpIfNotZero(int target) {
    bytes(0x75, 0);
    to(here(), target);
  }

  /** {@code jz}, forward: to where {@link #land} is told of what this returns. */
  int jumpIfZero() {
    bytes(0x74, 0);
    return here();
  }

  /** Lets a jump forward come here. */
  void land(int jump) {
    to(jump, here());
  }

  /** A jump counts from the instruction behind it. */
  private void to(int jump, int target) {
    code[jump - 1] = (byte) (target - jump);
  }
}
