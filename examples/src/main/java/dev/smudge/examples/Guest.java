package dev.smudge.examples;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A guest that can be stopped, and gone on with elsewhere: a program in guest RAM, and the state
 * that is not there. Made, not running yet, by {@link Program#boot} or {@link Program#restore}.
 *
 * <p>All of its methods are called by one thread at a time; the guest itself runs in threads of its
 * own, from {@link #start} until {@link #stop} returns or the program has ended. It writes guest
 * RAM through vCPUs that it added to its memory, or marks what it wrote.
 */
interface Guest extends AutoCloseable {
  /** Runs the guest, or lets it run on, in threads of its own; returns at once. */
  void start();

  /**
   * Stops the guest at a call boundary: when this returns, all it wrote is in RAM and marked, its
   * vCPUs are offline, and it writes no more until {@link #start}. A guest whose program has ended
   * is stopped already. An interrupt does not end the wait, and is kept.
   */
  void stop();

  /** Waits for the end of threads, also if interrupted. */
  static void join(List<Thread> threads) {
    boolean interrupted = false;
    for (int next = 0; next < threads.size(); ) {
      try {
        threads.get(next).join();
        next++;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Limits how fast it makes pages dirty, where marks find its writes. From any thread.
   *
   * @param bytesPerSecond all its vCPUs together; {@code Long.MAX_VALUE}: no limit
   */
  void limitDirtyRate(long bytesPerSecond);

  /**
   * Returns all that {@link Program#restore} needs besides RAM. Of a stopped guest only.
   *
   * @return the state, in a format of the guest's own
   */
  byte[] state();

  /**
   * {@return done when the program has ended, exceptionally if the guest failed; the same object at
   * every call}
   */
  CompletableFuture<@Nullable Void> completion();

  /** Stops the guest for good. RAM may be unmapped after it. */
  @Override
  void close();
}
