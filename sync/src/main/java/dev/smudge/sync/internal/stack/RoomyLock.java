package dev.smudge.sync.internal.stack;

import java.util.concurrent.locks.ReentrantLock;

/**
 * A lock that is taken only where the stack has room for giving it back, and for a wait on one of
 * its conditions. A stack that ends inside {@code unlock} or {@code await} may leave the lock free
 * and the next thread of its queue asleep, for ever.
 */
public final class RoomyLock extends ReentrantLock {
  private static final long serialVersionUID = 1L;

  /**
   * Makes one that is free.
   *
   * @param fair whether those that wait get it in their order
   */
  public RoomyLock(boolean fair) {
    super(fair);
  }

  /** Takes it; throws a StackOverflowError before that, if there is too little room. */
  @Override
  public void lock() {
    StackRoom.check(StackRoom.WAIT);
    super.lock();
  }

  /**
   * As {@link #lock}, with room for taking it once more, further down, after this was given back.
   */
  public void lockWithRoomToLockAgain() {
    StackRoom.check(StackRoom.WAIT + 6);
    super.lock();
  }

  @Override
  public boolean tryLock() {
    StackRoom.check(StackRoom.WAIT);
    return super.tryLock();
  }
}
