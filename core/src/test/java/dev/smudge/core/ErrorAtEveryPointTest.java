package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.testbase.StackSqueeze;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every operation on guest memory, cut short by an error at every call that it makes, and at every
 * call of the tracker. Afterwards two clients are told of every byte that their copies lack, and
 * later calls work.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class ErrorAtEveryPointTest {
  static Stream<Arguments> cases() {
    return ErrorOperations.operations().stream()
        .flatMap(each -> Stream.of(LogKind.values()).map(kind -> Arguments.of(each, kind)));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
      Operation operation, LogKind kind) throws Exception {
    ErrorWorld[] world = new ErrorWorld[1];
    int points =
        StackSqueeze.squeeze(
            Integer.getInteger("smudge.steps.of.a.frame", 1),
            () -> {
              ErrorWorld w = world[0];
              if (w == null) {
                w = new ErrorWorld(kind);
                world[0] = w;
              }
              w.write();
              operation.before().accept(w);
            },
            () -> operation.call().accept(world[0]),
            e -> {
              operation.after().accept(world[0]);
              world[0].vcpu.offline();
              world[0].check();
            });
    world[0].close();
    assertTrue(points >= 2, points + " points");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void operation_errorOfEveryCallOfTheTracker_losesNothingAndLaterCallsWork(
      Operation operation, LogKind kind) {
    try (ErrorWorld w = new ErrorWorld(kind)) {
      boolean passed = false;
      for (int calls = 1; !passed; calls++) {
        w.write();
        operation.before().accept(w);
        w.tracker[0].untilFault = calls;
        try {
          operation.call().accept(w);
        } catch (FaultyTracker.Fault e) {
          // asked for
        }
        passed = w.tracker[0].untilFault > 0;
        w.tracker[0].untilFault = -1;
        operation.after().accept(w);
        w.vcpu.offline();
        w.check();
      }
    }
  }
}
