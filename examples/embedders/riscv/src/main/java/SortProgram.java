/**
 * The guest's program: fills an array with pseudo-random numbers, sorts it by insertion, and checks
 * that it is in order and has the sum that it had before. It ends with 0 in a0 if it has.
 */
final class SortProgram {
  static final int COUNT = 3000;

  private static final int ZERO = 0;
  private static final int RANDOM = 5;
  private static final int I = 6;
  private static final int AT = 7;
  private static final int ARRAY = 8;
  private static final int N = 9;
  private static final int A0 = 10;
  private static final int SUM = 18;
  private static final int CHECK = 19;
  private static final int KEY = 28;
  private static final int NEXT = 29;

  static int[] code() {
    Assembler a = new Assembler();
    a.lui(ARRAY, 0x10); // at 0x10000
    a.lui(N, COUNT + 0x800 >> 12);
    a.immediate(0, N, N, COUNT << 20 >> 20);
    a.lui(RANDOM, 0x12345);
    a.immediate(0, I, ZERO, 0);
    a.label("fill"); // xorshift
    a.immediate(1, AT, RANDOM, 13);
    a.register(4, RANDOM, RANDOM, AT);
    a.immediate(5, AT, RANDOM, 17);
    a.register(4, RANDOM, RANDOM, AT);
    a.immediate(1, AT, RANDOM, 5);
    a.register(4, RANDOM, RANDOM, AT);
    address(a);
    a.sw(RANDOM, AT, 0);
    a.register(0, SUM, SUM, RANDOM);
    a.immediate(0, I, I, 1);
    a.branch(4, I, N, "fill");
    a.immediate(0, I, ZERO, 1);
    a.label("outer");
    a.branch(5, I, N, "sorted");
    address(a);
    a.lw(KEY, AT, 0);
    a.label("inner");
    a.branch(0, AT, ARRAY, "place");
    a.lw(NEXT, AT, -4);
    a.branch(5, KEY, NEXT, "place");
    a.sw(NEXT, AT, 0);
    a.immediate(0, AT, AT, -4);
    a.jump("inner");
    a.label("place");
    a.sw(KEY, AT, 0);
    a.immediate(0, I, I, 1);
    a.jump("outer");
    a.label("sorted");
    a.lw(KEY, ARRAY, 0);
    a.register(0, CHECK, KEY, ZERO);
    a.immediate(0, I, ZERO, 1);
    a.label("check");
    a.branch(5, I, N, "sum");
    address(a);
    a.lw(NEXT, AT, 0);
    a.branch(4, NEXT, KEY, "bad");
    a.register(0, CHECK, CHECK, NEXT);
    a.register(0, KEY, NEXT, ZERO);
    a.immediate(0, I, I, 1);
    a.jump("check");
    a.label("sum");
    a.branch(1, SUM, CHECK, "bad");
    a.immediate(0, A0, ZERO, 0);
    a.ecall();
    a.label("bad");
    a.immediate(0, A0, ZERO, 1);
    a.ecall();
    return a.code();
  }

  private static void address(Assembler a) {
    a.immediate(1, AT, I, 2);
    a.register(0, AT, AT, ARRAY);
  }

  private SortProgram() {}
}
