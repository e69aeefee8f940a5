import dev.smudge.snapshot.MachineState; // Smudge
import java.nio.ByteBuffer;

/** An interpreter of RV32I, without fences, system registers and traps. */
final class Hart implements MachineState { // Smudge
  final Ram ram = new Ram();
  private final int[] x = new int[32];
  private int pc;
  private long instructions;
  private boolean ended;

  Hart(int[] code) {
    for (int i = 0; i < code.length; i++) {
      ram.store(i * 4, 4, code[i]);
    }
  }

  boolean ended() {
    return ended;
  }

  /** What the program returned, in a0. */
  int result() {
    return x[10];
  }

  long instructions() {
    return instructions;
  }

  @Override // Smudge
  public byte[] save() {
    ByteBuffer state = ByteBuffer.allocate(x.length * 4 + 13);
    for (int register : x) {
      state.putInt(register);
    }
    return state.putInt(pc).putLong(instructions).put((byte) (ended ? 1 : 0)).array();
  }

  @Override // Smudge
  public void restore(byte[] bytes) {
    ByteBuffer state = ByteBuffer.wrap(bytes);
    for (int i = 0; i < x.length; i++) {
      x[i] = state.getInt();
    }
    pc = state.getInt();
    instructions = state.getLong();
    ended = state.get() == 1;
  }

  /** Runs until the program has ended, or for so many instructions. */
  void run(long most) {
    long until = instructions + most;
    while (!ended && instructions < until) {
      step(ram.load(pc, 4));
      x[0] = 0;
      instructions++;
      if ((instructions & 0xfff) == 0) {
        ram.states().endOfBlock(); // Smudge
      }
    }
  }

  private void step(int code) {
    int rd = code >> 7 & 31;
    int funct3 = code >> 12 & 7;
    int a = x[code >> 15 & 31];
    int b = x[code >> 20 & 31];
    int immediate = code >> 20;
    int next = pc + 4;
    switch (code & 0x7f) {
      case 0x37 -> x[rd] = code & ~0xfff; // lui
      case 0x17 -> x[rd] = pc + (code & ~0xfff); // auipc
      case 0x6f -> {
        x[rd] = next;
        next = pc + jump(code);
      }
      case 0x67 -> {
        x[rd] = next;
        next = a + immediate & ~1;
      }
      case 0x63 -> next = taken(funct3, a, b) ? pc + branch(code) : next;
      case 0x03 -> x[rd] = load(funct3, a + immediate);
      case 0x23 -> ram.store(a + (code >> 25 << 5 | rd), 1 << funct3, b);
      case 0x13 -> x[rd] = alu(funct3, a, immediate, funct3 == 5 && (code >> 30 & 1) != 0);
      case 0x33 -> x[rd] = alu(funct3, a, b, (code >> 30 & 1) != 0);
      case 0x73 -> ended = true; // ecall
      default ->
          throw new IllegalStateException(
              "no instruction at " + Integer.toHexString(pc) + ": " + Integer.toHexString(code));
    }
    pc = next;
  }

  private static int jump(int code) {
    return code >> 31 << 20 | code & 0xff000 | (code >> 20 & 1) << 11 | (code >> 21 & 0x3ff) << 1;
  }

  private static int branch(int code) {
    return code >> 31 << 12
        | (code >> 7 & 1) << 11
        | (code >> 25 & 0x3f) << 5
        | (code >> 8 & 15) << 1;
  }

  private static boolean taken(int funct3, int a, int b) {
    return switch (funct3) {
      case 0 -> a == b;
      case 1 -> a != b;
      case 4 -> a < b;
      case 5 -> a >= b;
      case 6 -> Integer.compareUnsigned(a, b) < 0;
      case 7 -> Integer.compareUnsigned(a, b) >= 0;
      default -> throw new IllegalStateException("no branch " + funct3);
    };
  }

  private int load(int funct3, int address) {
    int value = ram.load(address, 1 << (funct3 & 3));
    return funct3 == 4 ? value & 0xff : funct3 == 5 ? value & 0xffff : value;
  }

  private static int alu(int funct3, int a, int b, boolean other) {
    return switch (funct3) {
      case 0 -> other ? a - b : a + b;
      case 1 -> a << b;
      case 2 -> a < b ? 1 : 0;
      case 3 -> Integer.compareUnsigned(a, b) < 0 ? 1 : 0;
      case 4 -> a ^ b;
      case 5 -> other ? a >> b : a >>> b;
      case 6 -> a | b;
      default -> a & b;
    };
  }
}
