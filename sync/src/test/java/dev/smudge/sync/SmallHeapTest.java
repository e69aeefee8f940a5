package dev.smudge.sync;

import dev.smudge.testbase.OtherJvm;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Memory runs out in earnest, or the stack where a class is used first, in a JVM of its own. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class SmallHeapTest {
  @Test
  void everyCall_runsOutOfMemoryAtEveryPoint_losesNothing() throws Exception {
    run("-Xmx24m", SmallHeapProgram.class, Boolean.getBoolean("smudge.all") ? "5" : "11");
  }

  /**
   * What an error in a class's initializer leaves is not to be used again: not of the first call.
   */
  @ParameterizedTest
  @ValueSource(strings = {"mark", "pause"})
  void firstCall_withoutStack_laterCallsWork(String call) throws Exception {
    run("-Xint", FirstCallProgram.class, call);
  }

  /** Where a device's write was lost: in a fifth of the JVMs, and in none that ran for a while. */
  @ParameterizedTest
  @ValueSource(strings = {"SLOT_REPLACE", "LAST_CLIENT_CLOSE", "DEVICE_CLOSE", "SLOT_REMOVE"})
  void stackEndsAtEveryCall_inAJvmThatHasJustStarted_losesNothing(String operation)
      throws Exception {
    for (int i = 0; i < (Boolean.getBoolean("smudge.all") ? 3 : 1); i++) {
      run("-Xmx64m", ErrorProgram.class, operation);
    }
  }

  /** What the JVM links there for the first time must not be of no use ever after. */
  @ParameterizedTest
  @ValueSource(strings = {"DISCARD", "SLOT_REMOVE"})
  void stackEndsAtEveryCall_beforeTheCallWasEverMade_laterCallsWork(String operation)
      throws Exception {
    run("-Xmx64m", ErrorProgram.class, operation, Mode.BITMAP.name());
  }

  private static void run(String option, Class<?> program, String... arguments) throws Exception {
    OtherJvm.run(program, List.of(option, "-XX:+UseSerialGC", "-XX:-UsePerfData"), arguments);
  }
}
