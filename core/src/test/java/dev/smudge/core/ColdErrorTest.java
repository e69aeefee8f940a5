package dev.smudge.core;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.testbase.OtherJvm;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * As {@link ErrorAtEveryPointTest}, in a JVM of its own in which little is compiled, or nothing:
 * how much of the stack a call takes depends on that, and so between which calls it ends. And where
 * the call is cut short before it was ever made: what the JVM links or initializes there for the
 * first time must not be of no use ever after.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("once")
class ColdErrorTest {
  /**
   * Cuts operations short.
   *
   * @param operations their names; none: all
   */
  public static void main(String[] operations) throws Exception {
    List<String> names = List.of(operations);
    for (Arguments each : ErrorAtEveryPointTest.cases().toList()) {
      Operation operation = (Operation) each.get()[0];
      String kind = each.get()[1].toString();
      if ((names.isEmpty() || names.contains(operation.name()))
          && System.getProperty("smudge.kinds", kind).equals(kind)) {
        new ErrorAtEveryPointTest()
            .operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
                operation, (LogKind) each.get()[1]);
      }
    }
  }

  /** One of each kind; with {@code -Dsmudge.all} all. */
  static Stream<Arguments> programs() {
    return Stream.of(
            Arguments.of("-Xint", 1, "asynchronous write"),
            Arguments.of("-XX:TieredStopAtLevel=1", 8, "close of what was removed"),
            Arguments.of("-Dsmudge.cold=true", 1, "device long over a border"),
            Arguments.of("-Xint", 1, "device long"),
            Arguments.of("-Xint", 3, "begin of an asynchronous write"),
            Arguments.of("-XX:TieredStopAtLevel=1", 8, "close of what was removed"),
            Arguments.of("-XX:TieredStopAtLevel=1", 3, "steps inside"),
            Arguments.of("-Dsmudge.cold=true", 1, "seal"),
            Arguments.of("-Dsmudge.cold=true", 1, "task"),
            Arguments.of("-Dsmudge.cold=true", 1, "write as a client"))
        .limit(Boolean.getBoolean("smudge.all") ? 10 : 3);
  }

  @ParameterizedTest
  @MethodSource("programs")
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
      String flag, int steps, String operation) throws Exception {
    OtherJvm.run(
        ColdErrorTest.class,
        List.of(
            flag,
            "-XX:+UseSerialGC",
            "--enable-native-access=ALL-UNNAMED",
            "-Dsmudge.steps.of.a.frame=" + steps),
        operation);
  }
}
