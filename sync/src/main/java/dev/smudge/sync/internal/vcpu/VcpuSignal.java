package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.internal.stack.RoomyLock;
import java.util.concurrent.locks.Condition;

/**
 * Wakes vCPUs and pausers that wait for something to change: the end of a pause, room in a ring, a
 * dirty limit. The lock is held for looks and for changes, never during a wait for a vCPU.
 */
final class VcpuSignal {
  private final RoomyLock lock = new RoomyLock(false);
  private final Condition changed = lock.newCondition();

  void lock() {
    lock.lock();
  }

  void unlock() {
    lock.unlock();
  }

  /** Something has changed that a thread may wait for. */
  void wake() {
    lock.lock();
    try {
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** As {@link #wake}, for a thread that holds the lock. */
  void wakeLocked() {
    changed.signalAll();
  }

  /**
   * Waits for a change, with the lock held by the caller. An interrupt ends the wait early and is
   * kept; a thread that is interrupted already waits all the same.
   */
  @SuppressWarnings({"WaitNotInLoop", "ResultOfMethodCallIgnored"}) // the callers loop
  void await(long nanos) {
    boolean interrupted = Thread.interrupted(); // else it would not sleep
    try {
      changed.awaitNanos(nanos);
    } catch (InterruptedException e) {
      interrupted = true;
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
