package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.HeapSqueeze;
import dev.smudge.testbase.OtherJvm;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
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

  /**
   * The first stores to two slots since the slots changed, of which the second has a high number.
   */
  static final class FirstStores {
    private static final long HIGH = 1L << 20;

    private FirstStores() {}

    /**
     * Makes them where nothing can be allocated.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) {
      try (GuestMemory memory = GuestMemory.create()) {
        GuestSlot low = memory.addSlot(0, 0, ErrorWorld.PAGE);
        GuestSlot high = memory.addSlot(900, HIGH, ErrorWorld.PAGE);
        DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
        Vcpu vcpu = memory.addVcpu();
        long[] value = new long[1];
        int errors =
            HeapSqueeze.squeeze(
                () -> {
                  memory.addSlot(1, 2 * HIGH, ErrorWorld.PAGE);
                  memory.removeSlot(1).close();
                  Dirty.take(client);
                  value[0]++;
                  vcpu.safepoint();
                },
                () -> {
                  vcpu.putLong(0, value[0]);
                  vcpu.putLong(HIGH, value[0]);
                },
                thrown -> {
                  assertNull(thrown);
                  assertEquals(value[0], low.ram().get(ValueLayout.JAVA_LONG, 0));
                  assertEquals(value[0], high.ram().get(ValueLayout.JAVA_LONG, 0));
                  assertEquals(Set.of(0, 900), Dirty.take(client).keySet());
                });
        System.out.println(errors);
        vcpu.close();
      }
    }
  }

  /** A vCPU that has no memory for a cursor stores without it. */
  @Test
  void firstStoresToSlots_memoryHasRunOut_areMadeAndMarked() throws Exception {
    assertEquals("0", OtherJvm.run(FirstStores.class, HeapSqueeze.FLAGS).strip());
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
