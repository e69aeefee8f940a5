package dev.smudge.sync.internal.collect;

import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The collector lock. Whatever is done under it begins with what an error has left undone before,
 * and ends with the lock given back, wherever an error comes: also one that comes out of {@code
 * lock()} itself when the lock is taken, as a {@link StackOverflowError} may.
 *
 * <p>A stack that ends inside a set of pages can leave the set wrong. {@link #checkStack} makes
 * that unlikely, no more: how much room a call needs depends on what is compiled. So the lock keeps
 * in mind that it has happened, and whoever takes it next doubts all sets.
 */
final class CollectorLock {
  /** Frames that are enough for what is done on the way out. */
  private static final int RESERVE = 32;

  private final ReentrantLock lock = new ReentrantLock();
  private final Runnable before;
  private final Runnable after;

  /** A stack has ended under the lock; cleared, under the lock, when that is settled. */
  volatile boolean stackEnded;

  /**
   * Makes one that is free.
   *
   * @param before done first by whoever takes the lock; if it throws, nothing else is done
   * @param after done before the lock is given back, whatever was thrown
   */
  CollectorLock(Runnable before, Runnable after) {
    this.before = before;
    this.after = after;
  }

  void run(Runnable what) {
    checkStack();
    int held = lock.getHoldCount();
    try {
      lock.lock();
      if (held == 0) {
        before.run();
      }
      what.run();
    } catch (StackOverflowError e) {
      stackEnded = true; // calls nothing
      throw e;
    } finally {
      giveBack(held);
    }
  }

  <T> T get(Supplier<T> what) {
    checkStack();
    int held = lock.getHoldCount();
    try {
      lock.lock();
      if (held == 0) {
        before.run();
      }
      return what.get();
    } catch (StackOverflowError e) {
      stackEnded = true;
      throw e;
    } finally {
      giveBack(held);
    }
  }

  /** As {@link #run}, if nobody else holds the lock; returns whether that was so. */
  boolean tryRun(Runnable what) {
    checkStack();
    int held = lock.getHoldCount();
    try {
      if (!lock.tryLock()) {
        return false;
      }
      if (held == 0) {
        before.run();
      }
      what.run();
      return true;
    } catch (StackOverflowError e) {
      stackEnded = true;
      throw e;
    } finally {
      giveBack(held);
    }
  }

  private void giveBack(int held) {
    try {
      if (held == 0 && isMine()) {
        after.run();
      }
    } finally {
      while (lock.getHoldCount() > held) {
        lock.unlock();
      }
    }
  }

  /**
   * Throws the error that a lack of stack would be later, before there is any effect: for whatever
   * takes something that it has to give back, and calls others in between.
   */
  static void checkStack() {
    checkStack(RESERVE, 1, 2, 3);
  }

  /** The arguments are needed after the call, so that compiled code has a frame for them too. */
  private static long checkStack(int frames, long a, long b, long c) {
    return frames == 0 ? a : a + b * c + checkStack(frames - 1, b, c, a);
  }

  boolean isMine() {
    return lock.isHeldByCurrentThread();
  }
}
