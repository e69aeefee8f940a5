package dev.smudge.testbase;

import java.lang.ref.Reference;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Makes a call in a heap that is full but for a few bytes, then with some more, until it gets
 * through: so an {@link OutOfMemoryError} is thrown at every allocation that it makes. For a JVM of
 * its own with these {@link #FLAGS}.
 */
public final class HeapSqueeze {
  /** A small heap in which every byte that is free can be allocated. */
  public static final List<String> FLAGS =
      List.of("-Xmx12m", "-XX:+UseSerialGC", "-XX:-UseTLAB", "-XX:-UsePerfData", "-ea");

  private static final int STEP = 32; // bytes of a small block
  private static final int STEPS = 4_000;
  private static final int ENOUGH = 3; // calls in a row that got through
  private static final int[] SIZES = {1 << 16, 1 << 10, 1 << 5, 0};

  private final @Nullable Object[] small = new @Nullable Object[STEPS];
  private final @Nullable Object[] ballast = new @Nullable Object[20_000];
  private @Nullable Throwable thrown;

  private HeapSqueeze() {}

  /** As {@link #squeeze(int, StackSqueeze.Call, StackSqueeze.Call, StackSqueeze.Look)}, by 32. */
  public static int squeeze(
      StackSqueeze.Call before, StackSqueeze.Call call, StackSqueeze.Look after) {
    return squeeze(1, before, call, after);
  }

  /**
   * Squeezes a call.
   *
   * @param stride so many times 32 bytes more each time; fewer while few are free, since many a
   *     call allocates little
   * @param before makes it ready, each time
   * @param call what is cut short
   * @param after looks what has come of it, each time, with plenty of memory
   * @return how often it was cut short
   */
  public static int squeeze(
      int stride, StackSqueeze.Call before, StackSqueeze.Call call, StackSqueeze.Look after) {
    try {
      for (int i = 0; i < 3; i++) { // what is linked at first use is linked then
        before.run();
        call.run();
        after.run(null);
      }
      return new HeapSqueeze().run(stride, before, call, after);
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private int run(
      int stride, StackSqueeze.Call before, StackSqueeze.Call call, StackSqueeze.Look after)
      throws Exception {
    int errors = 0;
    int through = 0;
    for (int steps = 0; through < ENOUGH; steps += Math.min(stride, 1 + steps / 2)) {
      if (steps > STEPS) {
        throw new AssertionError("it never gets through", thrown);
      }
      before.run();
      call(call, steps);
      Throwable e = thrown;
      through = e == null ? through + 1 : 0;
      errors += e == null ? 0 : 1;
      try {
        after.run(e);
      } catch (Throwable wrong) {
        if (e != null) {
          wrong.addSuppressed(e);
        }
        throw new AssertionError("after a call with " + steps * STEP + " bytes of heap", wrong);
      }
    }
    return errors;
  }

  private void call(StackSqueeze.Call call, int steps) {
    thrown = null;
    for (int i = 0; i < STEPS; i++) {
      small[i] = new byte[STEP - 16];
    }
    fill();
    for (int i = 0; i < steps; i++) {
      small[i] = null;
    }
    try {
      call.run();
    } catch (Throwable e) {
      thrown = e;
    } finally {
      for (int i = 0; i < ballast.length; i++) {
        ballast[i] = null;
      }
      Reference.reachabilityFence(this);
    }
  }

  private void fill() {
    int next = 0;
    for (int size : SIZES) {
      try {
        while (next < ballast.length) {
          ballast[next] = new byte[size];
          next++;
        }
      } catch (OutOfMemoryError e) {
        continue; // smaller ones fit
      }
      throw new AssertionError("the heap is too large for " + ballast.length + " blocks");
    }
  }
}
