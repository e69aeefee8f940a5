package dev.smudge.sync.internal.time;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The room that a check leaves, as it is compiled. */
class StackRoomTest {
  private static final int CALLS = 300_000;
  private static final int TIMES = 11;

  private int whole; // frames of the stack
  private int above; // frames above its end where the check is made
  private boolean passed;

  /** To the end of the stack; on the way back, so many frames above it, makes the check. */
  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private int descend() {
    int height;
    try {
      height = descend() + 1;
    } catch (StackOverflowError e) {
      height = 0;
    }
    if (height == above) {
      try {
        StackRoom.check();
        passed = true;
      } catch (StackOverflowError e) {
        passed = false;
      }
    }
    return height;
  }

  /** The share of the stack that has to be free. */
  private double needed() {
    int low = 0;
    int high = 2000;
    while (high - low > 1) {
      above = (low + high) / 2;
      passed = true; // also where the stack has not so many frames
      whole = descend();
      if (passed) {
        high = above;
      } else {
        low = above;
      }
    }
    return (double) high / whole;
  }

  /**
   * Frames of this class shrink too, and their number grows: so the share tells of bytes, unless
   * that happens between two measurements, which is why it is a median.
   */
  @Test
  void check_isOptimized_leavesTheSameRoom() {
    double[] shares = new double[TIMES];
    StackSqueeze.withSmallStack(() -> {
      for (int i = 0; i < TIMES; i++) {
        for (int call = 0; call < CALLS; call++) {
          StackRoom.check();
        }
        shares[i] = needed();
      }
    });
    Arrays.sort(shares);
    double median = shares[TIMES / 2];
    System.out.println("room for what follows a check: " + median + " of the stack");
    assertTrue(median > 0.03, () -> median + " of the stack");
  }
}
