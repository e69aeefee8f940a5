package dev.smudge.jcstress;

import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Brings the two actors of one state to their race at about the same time. A call into the library
 * takes much longer than a store, so without it the actors hardly ever overlap. It never blocks for
 * ever, and orders nothing that comes after it.
 */
final class Pace {
  private static final int LONGEST_WAIT = 5_000;

  private final AtomicInteger arrived = new AtomicInteger();
  private int steps; // read by nobody: racy on purpose

  /** Waits, not for ever, until the other actor is here too. */
  void meet() {
    if (arrived.incrementAndGet() == 1) {
      for (int i = 0; i < LONGEST_WAIT && arrived.get() < 2; i++) {
        Thread.onSpinWait();
      }
    }
  }

  /** {@link #meet}, then {@link #pass}. */
  void meet(int most) {
    int delay = ThreadLocalRandom.current().nextInt(most);
    meet();
    step(delay);
  }

  /** Lets up to {@code most} short steps pass. */
  void pass(int most) {
    step(ThreadLocalRandom.current().nextInt(most));
  }

  private void step(int count) {
    for (int i = 0; i < count; i++) {
      steps = Integer.rotateLeft(steps, 3) + i;
    }
  }
}
