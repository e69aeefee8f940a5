package dev.smudge.sync.internal.stack;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The room that a check leaves, as it is compiled. */
class StackRoomTest {
  private static final int CALLS = 300_000;
  private static final int TIMES = 11;

  /** The share of the stack that has to be free. */
  private static double needed() {
    int whole = StackSqueeze.frames();
    int low = 0;
    int high = whole;
    while (high - low > 1) {
      int frames = (low + high) / 2;
      if (StackSqueeze.callAbove(frames, StackRoom::check) == null) {
        high = frames;
      } else {
        low = frames;
      }
    }
    return (double) high / whole;
  }

  /**
   * The frames that are counted shrink too, and their number grows: so the share tells of bytes,
   * unless that happens between two measurements, which is why it is a median.
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
