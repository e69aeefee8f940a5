import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** As much of an assembler for RV32I as the program in {@link SortProgram} needs. */
final class Assembler {
  private record Fixup(int word, String label, boolean jump) {}

  private final List<Integer> words = new ArrayList<>();
  private final Map<String, Integer> labels = new HashMap<>();
  private final List<Fixup> fixups = new ArrayList<>();

  void label(String name) {
    labels.put(name, words.size());
  }

  void lui(int rd, int upper) {
    words.add(upper << 12 | rd << 7 | 0x37);
  }

  /** funct3: 0 addi, 1 slli, 5 srli. */
  void immediate(int funct3, int rd, int rs1, int value) {
    words.add(value << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x13);
  }

  /** funct3: 0 add, 4 xor. */
  void register(int funct3, int rd, int rs1, int rs2) {
    words.add(rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33);
  }

  void lw(int rd, int rs1, int offset) {
    words.add(offset << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x03);
  }

  void sw(int rs2, int rs1, int offset) {
    words.add(offset >> 5 << 25 | rs2 << 20 | rs1 << 15 | 2 << 12 | (offset & 31) << 7 | 0x23);
  }

  /** funct3: 0 beq, 1 bne, 4 blt, 5 bge. */
  void branch(int funct3, int rs1, int rs2, String to) {
    fixups.add(new Fixup(words.size(), to, false));
    words.add(rs2 << 20 | rs1 << 15 | funct3 << 12 | 0x63);
  }

  void jump(String to) {
    fixups.add(new Fixup(words.size(), to, true));
    words.add(0x6f);
  }

  void ecall() {
    words.add(0x73);
  }

  int[] code() {
    for (Fixup fixup : fixups) {
      int by = (labels.get(fixup.label) - fixup.word) * 4;
      int bits =
          fixup.jump
              ? (by >> 20 & 1) << 31 | (by >> 1 & 0x3ff) << 21 | (by >> 11 & 1) << 20 | by & 0xff000
              : (by >> 12 & 1) << 31
                  | (by >> 5 & 0x3f) << 25
                  | (by >> 1 & 15) << 8
                  | (by >> 11 & 1) << 7;
      words.set(fixup.word, words.get(fixup.word) | bits);
    }
    return words.stream().mapToInt(Integer::intValue).toArray();
  }
}
