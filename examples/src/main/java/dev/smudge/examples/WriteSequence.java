package dev.smudge.examples;

import java.nio.ByteBuffer;

/** Where a vCPU of a {@link NativeProgram} writes, and what: the same whenever and wherever. */
final class WriteSequence {
  static final int STATE_SIZE = 2 * Long.BYTES;

  private static final int WORDS_PER_PAGE = NativeProgram.PAGE / Long.BYTES;
  private static final int SEQUENTIAL_STEP = 8; // words: 64 writes a page

  private final NativeProgram program;
  private final int vcpu;
  private final long usedPages;
  private long random;
  private long cursor;
  private long bits;

  WriteSequence(NativeProgram program, int vcpu) {
    this.program = program;
    this.vcpu = vcpu;
    this.usedPages = program.usedPages();
    this.random = NativeProgram.mix(program.seed() + vcpu);
  }

  void load(ByteBuffer state) {
    random = state.getLong();
    cursor = state.getLong();
  }

  void store(ByteBuffer state) {
    state.putLong(random).putLong(cursor);
  }

  /** Goes on to the next write; returns the offset in RAM of the eight bytes that it is to. */
  long next() {
    random = random * 6_364_136_223_846_793_005L + 1_442_695_040_888_963_407L;
    bits = NativeProgram.mix(random);
    long n;
    long word;
    if (program.pattern() == Pattern.SEQUENTIAL) {
      long step = cursor++;
      int steps = WORDS_PER_PAGE / SEQUENTIAL_STEP;
      n = step / steps % usedPages;
      word = step % steps * SEQUENTIAL_STEP + (bits & (SEQUENTIAL_STEP - 1));
    } else {
      boolean hot = program.pattern() == Pattern.HOT && (bits >>> 60) != 0;
      n = Math.floorMod(bits >>> 12, hot ? Math.max(1, usedPages / 64) : usedPages);
      word = bits & (WORDS_PER_PAGE - 1);
    }
    return program.page(vcpu, n) * NativeProgram.PAGE + word * Long.BYTES;
  }

  /** {@return a pseudo-random value for that write} */
  long bits() {
    return bits;
  }
}
