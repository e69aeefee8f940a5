package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.locks.LockSupport;

/** Whether a thread that waits sleeps, or spins. */
final class Sleepers {
  private Sleepers() {}

  /** Waits until the thread is asleep, and looks whether it stays so. */
  static void assertSleeps(Thread thread) {
    GuestThread.await(() -> thread.getState() == Thread.State.TIMED_WAITING);
    int asleep = 0;
    for (int i = 0; i < 100; i++) {
      LockSupport.parkNanos(500_000);
      asleep += thread.getState() == Thread.State.TIMED_WAITING ? 1 : 0;
    }
    assertTrue(asleep > 80, "asleep in " + asleep + " of 100 looks");
  }
}
