package dev.smudge.endive;

import dev.smudge.sync.internal.stack.RoomyLock;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.function.BooleanSupplier;
import run.endive.runtime.WasmInterruptedException;

/**
 * Who waits at which address of a shared linear memory, first come first woken.
 *
 * <p>A waiter compares and queues under the lock that a notifier takes, so a notifier that has
 * stored before it notifies finds the waiter, or the waiter finds the new value. A notification is
 * given to waiters that are in the queue at that moment and takes them out of it: nobody who comes
 * later can use it up.
 *
 * <p>Nothing is done under the lock that waits for anything else; waiters are offline vCPUs.
 */
final class WaitQueues {
  static final int WOKEN = 0;
  static final int NOT_EQUAL = 1;
  static final int TIMED_OUT = 2;

  /** A guest that calls itself too often may be here where its stack ends. */
  private final RoomyLock lock = new RoomyLock(false);

  private final Map<Integer, ArrayDeque<Waiter>> queues = new HashMap<>();

  private static final class Waiter {
    final Condition woken;
    boolean notified;

    Waiter(Condition woken) {
      this.woken = woken;
    }
  }

  /**
   * Waits until notified.
   *
   * @param asExpected whether memory still has the expected value; called under the lock
   * @param timeoutNanos negative: for ever
   */
  int await(int address, BooleanSupplier asExpected, long timeoutNanos) {
    lock.lock();
    try {
      if (!asExpected.getAsBoolean()) {
        return NOT_EQUAL;
      }
      Waiter waiter = new Waiter(lock.newCondition());
      queues.computeIfAbsent(address, a -> new ArrayDeque<>()).add(waiter);
      boolean interrupted = false;
      try {
        interrupted = awaitIn(waiter, timeoutNanos);
      } finally {
        if (!waiter.notified) {
          leave(address, waiter); // after an error too: else it uses up a notification
        }
      }
      if (waiter.notified) {
        return WOKEN; // whatever else came at the same time: the notifier has counted this one
      }
      if (interrupted) {
        throw new WasmInterruptedException("Thread interrupted");
      }
      return TIMED_OUT;
    } finally {
      lock.unlock();
    }
  }

  /** {@return whether it was interrupted} */
  private static boolean awaitIn(Waiter waiter, long timeoutNanos) {
    long left = timeoutNanos;
    while (!waiter.notified && (timeoutNanos < 0 || left > 0)) {
      try {
        if (timeoutNanos < 0) {
          waiter.woken.await();
        } else {
          left = waiter.woken.awaitNanos(left);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return true;
      }
    }
    return false;
  }

  private void leave(int address, Waiter waiter) {
    ArrayDeque<Waiter> queue = queues.get(address);
    if (queue != null && queue.remove(waiter) && queue.isEmpty()) {
      queues.remove(address);
    }
  }

  /** Wakes at most so many, all if negative; returns how many. */
  int wake(int address, int atMost) {
    lock.lock();
    try {
      ArrayDeque<Waiter> queue = queues.get(address);
      int count = 0;
      while (queue != null && count != atMost && !queue.isEmpty()) {
        Waiter waiter = queue.remove();
        waiter.notified = true;
        waiter.woken.signal();
        count++;
      }
      if (queue != null && queue.isEmpty()) {
        queues.remove(address);
      }
      return count;
    } finally {
      lock.unlock();
    }
  }
}
