package dev.smudge.sync.internal.stack;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A stack that ends anywhere in what is done with the lock. */
@Timeout(120)
@Tag("long")
class RoomyLockTest {
  private final RoomyLock lock = new RoomyLock(false);
  private final Condition changed = lock.newCondition();
  private volatile boolean held;
  private Thread next = new Thread();

  /** Waits in the lock's queue. */
  private void takeNext() {
    while (!held) {
      Thread.onSpinWait();
    }
    lock.lock();
    try {
      assertTrue(lock.isHeldByCurrentThread());
    } finally {
      lock.unlock();
    }
  }

  private void start() {
    held = false;
    next = new Thread(this::takeNext);
    next.setDaemon(true);
    next.start();
  }

  @SuppressWarnings({"WaitNotInLoop", "ResultOfMethodCallIgnored"}) // there is nothing to wait for
  private void takeAndGiveBack(boolean waits) throws InterruptedException {
    lock.lock();
    try {
      held = true;
      while (next.getState() != Thread.State.WAITING) {
        Thread.onSpinWait();
      }
      if (waits) {
        changed.awaitNanos(1);
      }
    } finally {
      lock.unlock();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void lockIsGivenBack_stackEndsAnywhere_theNextThreadGetsIt(boolean waits) {
    int errors =
        StackSqueeze.squeeze(
            this::start,
            () -> takeAndGiveBack(waits),
            e -> {
              held = true; // if it was not taken
              next.join(TimeUnit.SECONDS.toMillis(10));
              assertTrue(!next.isAlive(), () -> "it waits for ever, after " + e);
            });
    assertTrue(errors > 0);
  }
}
