package dev.smudge.core;

import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Makes a call with hardly any stack, then with one frame more each time, until it gets through: so
 * a {@link StackOverflowError} is thrown at every call that it makes, from the outermost to the
 * innermost. Everything is done by one thread, whose stack is small.
 */
final class StackEnds {
  private static final int STACK = 300_000;
  private static final int MOST_FRAMES = 5_000;
  private static final int ENOUGH = 3; // frames in a row with which it got through

  /** So many steps per frame: whether an error falls between two calls depends on their sizes. */
  static final int STEPS = Integer.getInteger("smudge.steps.of.a.frame", 1);

  /** Whether the call is made for the first time where there is no stack for it. */
  private static final boolean COLD = Boolean.getBoolean("smudge.cold");

  private final Runnable call;
  private int frames;
  private boolean called;
  private @Nullable Throwable thrown;

  private StackEnds(Runnable call) {
    this.call = call;
  }

  /**
   * Cuts a call short.
   *
   * @param before makes it ready, each time
   * @param call what is cut short
   * @param after looks what has come of it, each time; is told what was thrown, if anything was
   * @return how often it was cut short
   */
  static int atEveryCall(Runnable before, Runnable call, Consumer<@Nullable Throwable> after)
      throws Exception {
    int[] points = new int[1];
    withSmallStack(() -> points[0] = cutShort(before, call, after));
    return points[0];
  }

  /** Does all of something in a thread whose stack is small. */
  static void withSmallStack(Runnable body) throws Exception {
    Thread thread = new Thread(null, body, "squeezed", STACK);
    Throwable[] failed = new Throwable[1];
    thread.setUncaughtExceptionHandler((of, e) -> failed[0] = e);
    thread.start();
    thread.join();
    if (failed[0] != null) {
      throw new AssertionError(failed[0]);
    }
  }

  /** Makes a call with a stack of so many frames, in such a thread; returns what it has thrown. */
  static @Nullable Throwable above(int frames, Runnable call) {
    StackEnds squeeze = new StackEnds(call);
    squeeze.frames = frames;
    squeeze.descend();
    return squeeze.thrown;
  }

  private static int cutShort(Runnable before, Runnable call, Consumer<@Nullable Throwable> after) {
    for (int i = 0; i < 3; i++) {
      before.run();
      if (!COLD) { // with plenty first: what is linked at first use is linked then
        call.run();
      }
      after.accept(null);
    }
    StackEnds squeeze = new StackEnds(call);
    int points = 0;
    int through = 0;
    for (int step = 0; through < ENOUGH * STEPS; step++) {
      squeeze.frames = step / STEPS;
      if (squeeze.frames > MOST_FRAMES) {
        throw new AssertionError("it never gets through", squeeze.thrown);
      }
      before.run();
      squeeze.thrown = null;
      squeeze.called = false;
      squeeze.pad(step % STEPS, 1, 2, 3);
      Throwable e = squeeze.thrown;
      boolean linking = COLD && e instanceof LinkageError;
      if (!squeeze.called || (e != null && !isOfTheStack(e) && !linking)) {
        throw new AssertionError("with a stack of " + squeeze.frames + " frames", e);
      }
      through = e == null ? through + 1 : 0;
      points += e == null ? 0 : 1;
      try {
        after.accept(e);
      } catch (Throwable wrong) {
        if (e != null) {
          wrong.addSuppressed(e);
        }
        throw new AssertionError("after a stack of " + squeeze.frames + " frames", wrong);
      }
    }
    return points;
  }

  private static boolean isOfTheStack(Throwable e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof StackOverflowError) {
        return true;
      }
    }
    return false;
  }

  /** Frames of another size than those below: so that the steps are smaller than a frame. */
  private long pad(int pads, long a, long b, long c) {
    return pads == 0 ? descend() : a + pad(pads - 1, b, c, a);
  }

  /** To the end of the stack; on the way back, so many frames above it, makes the call. */
  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private int descend() {
    int height;
    try {
      height = descend() + 1;
    } catch (StackOverflowError e) {
      height = 0;
    }
    if (height == frames) {
      called = true;
      try {
        call.run();
      } catch (Throwable e) {
        thrown = e;
      }
    }
    return height;
  }
}
