package dev.smudge.sync.internal.time;

/** Whether the stack has room for what must not end in the middle. */
public final class StackRoom {
  /** Frames of {@link #check} that are enough for what is done on the way out. */
  private static final int RESERVE = 12;

  /** Frames for {@link #check(int)} that are enough for RAM to be unmapped. */
  public static final int RELEASE = 40;

  /** Frames for {@link #check(int)} that are enough for a wait on a condition. */
  static final int WAIT = 30;

  private StackRoom() {}

  /**
   * Throws the error that a lack of stack would be later, before there is any effect: for whatever
   * takes something that it has to give back, and calls others in between.
   */
  public static void check() {
    check(RESERVE);
  }

  /** As {@link #check()}, for a call that goes deeper: with room for so many large frames. */
  public static void check(int frames) {
    check(frames, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  }

  /** The arguments are needed after the call, so that compiled code has a frame for them too. */
  private static long check(
      int frames, long a, long b, long c, long d, long e, long f, long g, long h, long i) {
    return frames == 0
        ? a
        : check(frames - 1, a, b, c, d, e, f, g, h, i) + (a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i);
  }
}
