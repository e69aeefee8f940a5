package dev.smudge.testbase;

import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Makes a call with less stack than it needs, then with a little more, until it gets through: so a
 * {@link StackOverflowError} is thrown at every call that it makes, from the outermost to the
 * innermost. Everything is done by one thread, whose stack is small.
 */
public final class StackSqueeze {
  /** A call that may be cut short. */
  public interface Call {
    /** Calls. */
    void run() throws Exception;
  }

  /** Looks what has come of a call, with plenty of stack. */
  public interface Look {
    /** Looks; is told what the call has thrown, if anything. */
    void run(@Nullable Throwable thrown) throws Exception;
  }

  private static final int STACK = 240_000;
  private static final int MOST_FRAMES = 5_000;

  /** So many steps per frame: whether an error falls between two calls depends on their sizes. */
  public static final int PADS =
      Integer.getInteger("smudge.steps.of.a.frame", Boolean.getBoolean("smudge.all") ? 2 : 1);

  private static final int ENOUGH = 3; // frames in a row with which it got through

  /** Whether the call is made for the first time where there is no stack for it. */
  public static volatile boolean cold = Boolean.getBoolean("smudge.cold");

  private final Call call;
  private int frames;
  private @Nullable Throwable thrown;
  private boolean called;

  private StackSqueeze(Call call) {
    this.call = call;
  }

  /**
   * Squeezes a call.
   *
   * @param before makes it ready, each time
   * @param call what is cut short
   * @param after looks what has come of it, each time
   * @return how often it was cut short
   */
  public static int squeeze(Call before, Call call, Look after) {
    return squeeze(PADS, before, call, after);
  }

  /** As {@link #squeeze(Call, Call, Look)}, in so many steps per frame. */
  public static int squeeze(int pads, Call before, Call call, Look after) {
    int[] errors = new int[1];
    withSmallStack(() -> errors[0] = squeezeHere(pads, before, call, after));
    return errors[0];
  }

  /** Does all of something in a thread whose stack is small. */
  public static void withSmallStack(Call body) {
    AtomicReference<@Nullable Throwable> failed = new AtomicReference<>();
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                body.run();
              } catch (Throwable e) {
                failed.set(e);
              }
            },
            "squeezed",
            STACK);
    thread.start();
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    Throwable e = failed.get();
    if (e != null) {
      throw e instanceof AssertionError a ? a : new AssertionError(e);
    }
  }

  private static int squeezeHere(int pads, Call before, Call call, Look after) throws Exception {
    for (int i = 0; i < 3; i++) {
      before.run();
      if (!cold) { // with plenty first: what is linked at first use is linked then
        call.run();
      }
      after.run(null);
    }
    StackSqueeze squeeze = new StackSqueeze(call);
    int errors = 0;
    int through = 0;
    for (int step = 0; through < ENOUGH * pads; step++) {
      int frames = step / pads;
      if (frames > MOST_FRAMES) {
        throw new AssertionError("it never gets through", squeeze.thrown);
      }
      before.run();
      Throwable e = squeeze.callAbove(frames, step % pads);
      if (e == null) {
        through++;
      } else {
        through = 0;
        errors++;
        // What is linked for the first time may say LinkageError, for as long as it lacks stack.
        if (!isOfTheStack(e) && !(cold && e instanceof LinkageError)) {
          throw new AssertionError("thrown with a stack of " + frames + " frames", e);
        }
      }
      try {
        after.run(e);
      } catch (Throwable wrong) {
        if (e != null) {
          wrong.addSuppressed(e);
        }
        throw new AssertionError("after a call with a stack of " + frames + " frames", wrong);
      }
    }
    return errors;
  }

  private static boolean isOfTheStack(Throwable e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof StackOverflowError) {
        return true;
      }
    }
    return false;
  }

  /**
   * Makes one call so many frames above the end of the stack of this thread.
   *
   * @return what it has thrown; null if it got through
   */
  public static @Nullable Throwable callAbove(int frames, Call call) {
    return new StackSqueeze(call).callAbove(frames, 0);
  }

  /**
   * {@return how many frames the rest of the stack of this thread has, as they are compiled now}
   */
  public static int frames() {
    return new StackSqueeze(() -> {}).descend();
  }

  private @Nullable Throwable callAbove(int frames, int pads) {
    this.frames = frames;
    thrown = null;
    called = false;
    pad(pads, 1, 2, 3);
    if (!called) {
      throw new AssertionError("the stack has not so many frames: " + frames);
    }
    return thrown;
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
