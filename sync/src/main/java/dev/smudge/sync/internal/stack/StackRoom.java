package dev.smudge.sync.internal.stack;

/**
 * Whether the stack has room for what must not end in the middle.
 *
 * <p>That is tried out, by calls that go so many steps down. What follows the check may be
 * interpreted or compiled by either compiler, and may then need two or three times as much stack as
 * when it is optimized. So a step must not shrink when this class is optimized, which is early,
 * because it is called often. A step takes about 1,100 bytes in any case: for its arguments, nearly
 * all of which are passed on the stack whatever compiles the call. And the method is longer than
 * what the optimizing compiler inlines (325 bytes of code, {@code -XX:FreqInlineSize}): else two or
 * three steps would share one frame.
 */
public final class StackRoom {
  /** Steps of {@link #check} that are enough for what is done on the way out. */
  private static final int RESERVE = 5;

  /** Steps for {@link #check(int)} that are enough for RAM to be unmapped. */
  public static final int RELEASE = 14;

  /**
   * Steps for {@link #check(int)} that are enough for a read or a write of a channel or a socket.
   * The JDK keeps buffers for them per thread ({@code sun.nio.ch.Util}); where the stack ends while
   * one is taken from there, every later call in that thread throws a NullPointerException.
   */
  public static final int IO = 14;

  /** Steps for {@link #check(int)} that are enough for a wait on a condition. */
  static final int WAIT = 11;

  private StackRoom() {}

  /**
   * Throws the error that a lack of stack would be later, before there is any effect: for whatever
   * takes something that it has to give back, and calls others in between.
   */
  public static void check() {
    check(RESERVE);
  }

  /**
   * As {@link #check()}, for a call that goes deeper.
   *
   * @param steps of about 1,100 bytes each, from 0
   */
  public static void check(int steps) {
    check(
        steps, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0);
  }

  private static long check(
      int steps,
      long a0,
      long a1,
      long a2,
      long a3,
      long a4,
      long a5,
      long a6,
      long a7,
      long a8,
      long a9,
      long a10,
      long a11,
      long a12,
      long a13,
      long a14,
      long a15,
      long a16,
      long a17,
      long a18,
      long a19,
      long a20,
      long a21,
      long a22,
      long a23,
      long a24,
      long a25,
      long a26,
      long a27,
      long a28,
      long a29,
      long a30,
      long a31,
      long a32,
      long a33,
      long a34,
      long a35,
      long a36,
      long a37,
      long a38,
      long a39,
      long a40,
      long a41,
      long a42,
      long a43,
      long a44,
      long a45,
      long a46,
      long a47,
      long a48,
      long a49,
      long a50,
      long a51,
      long a52,
      long a53,
      long a54,
      long a55,
      long a56,
      long a57,
      long a58,
      long a59,
      long a60,
      long a61,
      long a62,
      long a63) {
    return steps == 0
        ? a0 ^ a1 ^ a2 ^ a3 ^ a4 ^ a5 ^ a6 ^ a7 ^ a8 ^ a9 ^ a10 ^ a11 ^ a12 ^ a13 ^ a14 ^ a15 ^ a16
            ^ a17 ^ a18 ^ a19 ^ a20 ^ a21 ^ a22 ^ a23 ^ a24 ^ a25 ^ a26 ^ a27 ^ a28 ^ a29 ^ a30
            ^ a31 ^ a32 ^ a33 ^ a34 ^ a35 ^ a36 ^ a37 ^ a38 ^ a39 ^ a40 ^ a41 ^ a42 ^ a43 ^ a44
            ^ a45 ^ a46 ^ a47 ^ a48 ^ a49 ^ a50 ^ a51 ^ a52 ^ a53 ^ a54 ^ a55 ^ a56 ^ a57 ^ a58
            ^ a59 ^ a60 ^ a61 ^ a62 ^ a63
        : check(
                steps - 1, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15,
                a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32,
                a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48, a49,
                a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, a63)
            + 1;
  }
}
