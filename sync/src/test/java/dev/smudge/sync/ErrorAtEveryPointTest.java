package dev.smudge.sync;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every operation, cut short by an error at every point: by a {@link StackOverflowError} at each
 * call that it makes, and by an {@link OutOfMemoryError} of the tracker or the device at each call
 * out of the library. Afterwards every client is told of every page that it has not read, and later
 * calls work.
 */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class ErrorAtEveryPointTest {
  private final Mode mode;

  ErrorAtEveryPointTest(Mode mode) {
    this.mode = mode;
  }

  @ParameterizedTest
  @MethodSource("dev.smudge.sync.ErrorOperation#all")
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(ErrorOperation operation) {
    Assumptions.assumeTrue(operation.isIn(mode));
    operation.stackEndsAtEveryCall(mode);
  }

  @ParameterizedTest
  @MethodSource("dev.smudge.sync.ErrorOperation#all")
  void operation_errorOfEveryCallOut_losesNothingAndLaterCallsWork(ErrorOperation operation)
      throws Exception {
    Assumptions.assumeTrue(operation.isIn(mode));
    operation.errorOfEveryCallOut(mode);
  }

  @ParameterizedTest
  @MethodSource("dev.smudge.sync.ErrorOperation#all")
  void operation_errorsInARowAndOfTheHandler_loseNothingAndLaterCallsWork(
      ErrorOperation operation) {
    Assumptions.assumeTrue(operation.isIn(mode));
    for (int errors : new int[] {1, 3, 1_000}) {
      operation.errorsInARow(mode, errors);
    }
  }
}
