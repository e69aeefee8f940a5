package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;

/** An operation that is cut short, with what comes before and after it. */
interface ErrorOperation {
  /** Per frame of the stack. */
  int STEPS = Boolean.getBoolean("smudge.all") ? 2 : 1;

  /** Whether it is beside two clients, which are looked at after it. */
  boolean hasClients();

  default void before(ErrorWorld w) {}

  void run(ErrorWorld w) throws Exception;

  default void after(ErrorWorld w) {}

  private void makeReady(ErrorWorld w) {
    w.write();
    before(w);
  }

  private void check(ErrorWorld w) {
    after(w);
    if (hasClients()) {
      w.check();
    }
  }

  /** By a {@link StackOverflowError} at each call that it makes. */
  default void stackEndsAtEveryCall(Mode mode) {
    ErrorWorld w = new ErrorWorld(mode, hasClients());
    int points =
        StackSqueeze.squeeze(STEPS, frames -> makeReady(w), () -> run(w), frames -> check(w));
    assertTrue(points >= 2 * STEPS, points + " points");
  }

  /**
   * By an {@link OutOfMemoryError} of the tracker or the device at each call out of the library.
   */
  default void errorOfEveryCallOut(Mode mode) throws Exception {
    ErrorWorld w = new ErrorWorld(mode, hasClients());
    w.tracker.throwsErrors = true;
    int points = 0;
    for (int through = 0; through < 2; points++) { // a device's error is reported, and not thrown
      makeReady(w);
      w.reported.clear();
      w.tracker.untilFault.set(points);
      @Nullable Throwable thrown = null;
      try {
        run(w);
      } catch (OutOfMemoryError e) {
        thrown = e;
      }
      boolean passed = w.tracker.untilFault.getAndSet(-1) >= 0;
      try {
        check(w);
      } catch (Throwable e) {
        throw new AssertionError("after an error at point " + points + ": " + thrown, e);
      }
      through = passed ? through + 1 : 0;
    }
  }
}
