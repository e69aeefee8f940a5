package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** An operation that is cut short, with what comes before and after it. */
interface ErrorOperation {
  /** Those of {@link ErrorAtEveryPointTest}. */
  static List<ErrorOperation> all() {
    List<ErrorOperation> all = new ArrayList<>(List.of(ClientOperation.values()));
    all.addAll(List.of(LogOperation.values()));
    return all;
  }

  /** As an enum has it. */
  String name();

  /** Whether it is beside two clients, which are looked at after it. */
  default boolean hasClients() {
    return true;
  }

  /** Whether there is anything to cut short in a mode. */
  default boolean isIn(Mode mode) {
    return true;
  }

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
    int points = StackSqueeze.squeeze(() -> makeReady(w), () -> run(w), e -> check(w));
    assertTrue(points >= 2 * StackSqueeze.PADS, points + " points");
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

  /**
   * By errors of so many calls out of the library, one after the other from each on, and of the
   * error handler, which is told of some of them. They are checked exceptions, which other
   * languages throw. Those that are left then meet the next calls.
   */
  default void errorsInARow(Mode mode, int errors) {
    ErrorWorld w = new ErrorWorld(mode, hasClients());
    w.tracker.throwsChecked = true;
    int points = 0;
    for (int through = 0; through < 2; points++) {
      makeReady(w);
      w.handlerThrows = new IOException("of the handler");
      w.tracker.faults = errors;
      w.tracker.untilFault.set(points);
      @Nullable Throwable thrown = attempt(() -> run(w));
      through = w.tracker.untilFault.get() > 0 ? through + 1 : 0;
      for (int calls = 0; w.tracker.untilFault.get() == 0 && calls < 3; calls++) {
        attempt(w.log::sync);
        attempt(w.log.rcu()::barrier);
      }
      w.tracker.untilFault.set(-1);
      w.tracker.faults = 1;
      w.handlerThrows = null;
      try {
        w.log.rcu().barrier();
        check(w);
      } catch (Throwable e) {
        throw new AssertionError(errors + " errors from point " + points + ": " + thrown, e);
      }
    }
  }

  private static @Nullable Throwable attempt(StackSqueeze.Call call) {
    try {
      call.run();
      return null;
    } catch (Throwable e) {
      return e; // asked for; what has come of it is looked at then
    }
  }
}
