package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.testbase.HeapSqueeze;
import dev.smudge.testbase.OtherJvm;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * As {@link ErrorAtEveryPointTest}, where memory runs out, in a JVM of its own: at some
 * allocations, and with {@code -Dsmudge.fullHeapStride=1} at every one, in every mode.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("once")
class FullHeapTest {
  /**
   * Cuts operations short, and prints how often.
   *
   * @param arguments how many times 32 bytes more each time; names of operations, none: all
   */
  public static void main(String[] arguments) {
    int stride = Integer.parseInt(arguments[0]);
    List<String> names = List.of(arguments).subList(1, arguments.length);
    int errors = 0;
    for (Operation operation : ErrorOperations.operations()) {
      if (names.isEmpty() || names.contains(operation.name())) {
        for (LogKind kind : LogKind.values()) {
          errors += stride == 1 || kind == LogKind.BITMAP ? squeeze(stride, operation, kind) : 0;
        }
      }
    }
    System.out.println(errors);
  }

  private static int squeeze(int stride, Operation operation, LogKind kind) {
    try (ErrorWorld w = new ErrorWorld(kind)) {
      return HeapSqueeze.squeeze(
          stride,
          () -> {
            w.write();
            operation.before().accept(w);
          },
          () -> operation.call().accept(w),
          thrown -> {
            operation.after().accept(w);
            w.vcpu.offline();
            w.check();
            w.errors.clear();
          });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"growth, tried again", "asynchronous write", "remove"})
  void operation_memoryRunsOut_losesNothingAndLaterCallsWork(String operation) throws Exception {
    List<String> flags = new ArrayList<>(HeapSqueeze.FLAGS);
    flags.add("--enable-native-access=ALL-UNNAMED");
    String stride =
        System.getProperty("smudge.fullHeapStride", Boolean.getBoolean("smudge.all") ? "9" : "19");
    String output = OtherJvm.run(FullHeapTest.class, flags, stride, operation);
    assertTrue(Integer.parseInt(output.strip()) >= 1, output);
  }
}
