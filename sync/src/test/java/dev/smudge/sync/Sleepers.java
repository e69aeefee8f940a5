package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.CpuTime;

/** Whether a thread that waits sleeps, or spins. */
public final class Sleepers {
  private static final long LOOK_NANOS = 50_000_000;

  private Sleepers() {}

  /**
   * Waits until the thread is asleep, and looks whether it uses little of a processor from then on.
   * Its state would not tell: a thread that wakes now and then, and has to wait for a processor
   * each time, is rarely asleep.
   */
  public static void assertSleeps(Thread thread) {
    GuestThread.await(() -> thread.getState() == Thread.State.TIMED_WAITING);
    long before = CpuTime.nanosOf(thread);
    long start = System.nanoTime();
    GuestThread.await(() -> System.nanoTime() - start > LOOK_NANOS);
    long ran = CpuTime.nanosOf(thread) - before;
    long took = System.nanoTime() - start;
    assertTrue(ran < took / 4, "ran for " + ran + " ns of " + took);
  }
}
