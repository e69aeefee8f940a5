package dev.smudge.sync.internal.collect;

import dev.smudge.sync.internal.stack.StackRoom;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The collector lock. Whatever is done under it begins with what an error has left undone before,
 * and ends with the lock given back, wherever an error comes: also one that comes out of {@code
 * lock()} itself when the lock is taken, as a {@link StackOverflowError} may.
 *
 * <p>A stack that ends inside a set of pages can leave the set wrong. {@link StackRoom} makes that
 * unlikely, no more: how much room a call needs depends on what is compiled. So the lock keeps in
 * mind that it has happened, and whoever takes it next doubts all sets.
 */
final class CollectorLock {
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

  /**
   * Begins what is done under the lock; the lock is not taken yet. What follows is a block as that
   * of {@link #run}, for a path that has to be fast from its first call on, when a lambda costs
   * milliseconds.
   *
   * @return how often the calling thread holds it already
   */
  int begin() {
    StackRoom.check();
    return lock.getHoldCount();
  }

  /** Takes it, in the block that ends with {@link #giveBack}. */
  void take(int held) {
    lock.lock();
    if (held == 0) {
      before.run();
    }
  }

  void run(Runnable what) {
    int held = begin();
    try {
      take(held);
      what.run();
    } catch (StackOverflowError e) {
      stackEnded = true; // calls nothing
      throw e;
    } finally {
      giveBack(held);
    }
  }

  <T> T get(Supplier<T> what) {
    int held = begin();
    try {
      take(held);
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
    int held = begin();
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

  /** An error of a call under the lock is not thrown on; the stack may have ended in it. */
  void keepInMind(Throwable error) {
    if (error instanceof StackOverflowError) {
      stackEnded = true;
    }
  }

  /** Gives it back as often as it was taken since {@link #begin}. */
  void giveBack(int held) {
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

  boolean isMine() {
    return lock.isHeldByCurrentThread();
  }
}
