package dev.smudge.sync.inhibitor;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The access of one thread to guest memory that an {@link AccessInhibitor} protects. It is owned by
 * the first thread that enters, until that thread closes it or dies; the next thread to enter then
 * owns it. Other threads get one of their own.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class InhibitableAccess implements AutoCloseable {
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);

  // What one thread writes at each access stands alone.
  private static final int INSIDE = 16;
  private static final int DEPTH = 17; // its thread only
  private static final int SHARED_LENGTH = 34;

  private final AccessInhibitor inhibitor;
  private final int index;
  private final Runnable kick;
  private final Object kicking = new Object(); // close waits for a kick, never enter or leave
  private final long[] shared = new long[SHARED_LENGTH];
  private boolean kickable = true; // under kicking
  private boolean closed; // under the lock

  // ORDER I5 plain: in enter and leave a thread looks only whether it is itself, and nobody else
  // stores it before that one has ended. All others read it under the lock or after isInside. Plain
  // is the weakest mode.
  private @Nullable Thread owner;

  InhibitableAccess(AccessInhibitor inhibitor, int index, Runnable kick) {
    this.inhibitor = inhibitor;
    this.index = index;
    this.kick = kick;
  }

  /**
   * Enters. Waits, without a limit, while accesses are inhibited; an interrupt does not end the
   * wait and is kept. If its thread is inside already, it enters again at once; call {@link #leave}
   * as often. Wait-free while no thread inhibits; allocates nothing then, and writes no word that
   * another thread writes. The caller sees everything that a changer did before it closed its hold.
   *
   * <p>If the thread runs a {@link dev.smudge.sync.LogVcpu}, take that vCPU offline first, because
   * barriers would wait for it meanwhile.
   *
   * @throws VcpuException if it is closed; if it is another thread's; if this thread itself holds
   *     accesses back, so that it would wait for itself (a holder needs no access); if the thread
   *     that holds has ended; or if it would wait for the end of a pause, and the inhibitor is
   *     closed, before or meanwhile. It has not entered then, nor after an {@link Error}
   */
  public void enter() {
    if (owner != Thread.currentThread()) { // I5
      inhibitor.attach(this);
    }
    long depth = shared[DEPTH];
    if (depth == 0) {
      // ORDER I1 volatile: inside before the look at the flag. Pairs with I2. If weaker (a
      // release store): the look passes the buffered store; the changer sees nobody inside, and
      // this thread sees the hole.
      SHARED.setVolatile(shared, INSIDE, 1L);
      if (inhibitor.isInhibited()) { // I4
        boolean released = false;
        try {
          inhibitor.awaitRelease(this);
          released = true;
        } finally {
          if (!released) {
            // Calls nothing: there may be no stack. Plain: nothing was accessed inside that had to
            // be seen before this, and nobody is woken, but a changer that sleeps looks again.
            shared[INSIDE] = 0;
          }
        }
      }
    }
    shared[DEPTH] = depth + 1;
  }

  /**
   * Leaves. Wait-free while nobody inhibits.
   *
   * @throws VcpuException if this thread is not inside; nothing is changed
   */
  public void leave() {
    // I5.
    if (owner != Thread.currentThread() || shared[DEPTH] == 0) {
      throw new VcpuException(
          "leave by " + Thread.currentThread() + ", which is not inside " + this);
    }
    if (--shared[DEPTH] == 0) {
      // ORDER I3 volatile: outside before the look at the flag; what was done inside before
      // both. Pairs with I2 and the look in isInside. If weaker (a release store): this thread
      // sees the flag down, the changer sees it inside, and sleeps with nobody to wake it.
      SHARED.setVolatile(shared, INSIDE, 0L);
      if (inhibitor.isInhibited()) {
        inhibitor.wakeChanger();
      }
    }
  }

  // What the inhibitor calls, under its lock.

  void attach() {
    if (closed) {
      throw new VcpuException("enter by " + Thread.currentThread() + ": " + this);
    }
    if (owner != null && !hasEnded()) {
      throw new VcpuException(
          "enter by "
              + Thread.currentThread()
              + ": "
              + this
              + ". Each thread needs one of its own");
    }
    owner = Thread.currentThread(); // I5
    shared[DEPTH] = 0; // the one before may have ended inside
  }

  boolean isInside() {
    // I2, I3.
    return (long) SHARED.getVolatile(shared, INSIDE) != 0;
  }

  /** By its own thread, and when that has ended. The flag goes up under the lock, so I1 is kept. */
  void setInside(boolean inside) {
    SHARED.setVolatile(shared, INSIDE, inside ? 1L : 0L);
  }

  boolean isInsideOf(Thread thread) {
    return owner == thread && isInside();
  }

  boolean hasEnded() {
    Thread thread = owner; // I5
    return thread != null && !thread.isAlive();
  }

  /** Returns whether this has closed it. */
  boolean detach() {
    if (closed) {
      return false;
    }
    if (owner == Thread.currentThread() ? isInside() : owner != null && !hasEnded()) {
      throw new VcpuException(
          "close by "
              + Thread.currentThread()
              + ": "
              + this
              + ". Its own thread closes it, outside");
    }
    closed = true;
    owner = null; // I5
    return true;
  }

  VcpuTimeoutException timeout(long millis) {
    return InhibitorErrors.staysInside(millis, this, owner);
  }

  // Without the lock.

  void kickIfInside() {
    if (isInside() && !hasEnded()) {
      synchronized (kicking) {
        if (kickable) {
          kick.run();
        }
      }
    }
  }

  /**
   * Removes the access. Waits for a kick that is under way; after that none is called, and
   * resources of the kick can be freed. By its own thread, outside; by any thread before the first
   * {@code enter} and after its thread has ended. A second call does nothing.
   *
   * @throws VcpuException if this thread is inside, or it is another, living thread's; it stays as
   *     it is
   */
  @Override
  public void close() {
    inhibitor.remove(this);
    synchronized (kicking) {
      kickable = false;
    }
  }

  @Override
  public String toString() {
    return "InhibitableAccess["
        + index
        + ", "
        + (closed ? "closed" : isInside() ? "inside" : "outside")
        + (owner == null ? "]" : ", " + owner + "]");
  }
}
