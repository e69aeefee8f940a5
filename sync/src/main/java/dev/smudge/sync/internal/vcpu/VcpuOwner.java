package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Whose a vCPU is: nobody's, one thread's, or closed for good.
 *
 * <pre>
 *              take()
 *   NOBODY'S ──────────▶ A THREAD'S        a thread that dies keeps it, until another closes it
 *      │     ◀──────────
 *      │      release()
 *      ▼
 *    CLOSED    shut(), by whoever has taken it to close it
 * </pre>
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
final class VcpuOwner {
  private static final VarHandle THREAD;

  static {
    try {
      THREAD = MethodHandles.lookup().findVarHandle(VcpuOwner.class, "thread", Thread.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuGroup group;
  private final int index; // of the vCPU
  volatile @Nullable Thread thread; // read directly where there may be no stack for a call
  private volatile boolean shut; // no thread takes it any more
  private volatile boolean left; // and all that its end takes was done
  private final AtomicBoolean deathReported = new AtomicBoolean();

  // From each take to the next release. The owner's only: another thread sees that it is not its.
  long session;

  VcpuOwner(VcpuGroup group, int index) {
    this.group = group;
    this.index = index;
  }

  @Nullable Thread get() {
    return thread;
  }

  boolean isMine() {
    return thread == Thread.currentThread();
  }

  boolean isShut() {
    return shut;
  }

  boolean hasLeft() {
    return left;
  }

  /** Refuses another thread than the one whose it is. */
  void check() {
    Thread now = thread;
    if (now != Thread.currentThread()) {
      throw usedBy(now);
    }
  }

  /** Makes it the calling thread's. It may be that already, after an error. */
  void take() {
    checkOpen();
    // ORDER S8 volatile: the vCPU has one owner, and comes with all that the last one did with it.
    // Pairs with the store in release and with the exchange in close. If weaker: it is online and
    // closed, and no barrier waits for it; or the new owner sees an arm epoch that it never saw.
    Thread before = (Thread) THREAD.compareAndExchange(this, null, Thread.currentThread());
    if (before != null && before != Thread.currentThread()) {
      throw usedBy(before);
    }
    if (shut) { // by another thread, since the look above
      thread = null;
      throw isClosed();
    }
    session++;
  }

  long session() {
    return session;
  }

  /** Whether it is the calling thread's, and was since the session of that number began. */
  boolean isSession(long number) {
    return isMine() && session == number;
  }

  void checkOpen() {
    if (shut) {
      throw isClosed();
    }
  }

  /** It is nobody's from here on. */
  void release() {
    thread = null; // S8
  }

  /** No thread takes it any more. By a thread that is closing it. */
  void shut() {
    // ORDER S14 volatile: before the look at the queue in VcpuTasks.failAll. Pairs with the look in
    // VcpuState.isGone, after a task was queued. If weaker: the task is neither run nor failed.
    shut = true;
  }

  /**
   * Closes it while it is nobody's, or a dead thread's.
   *
   * @param leave all that its end takes, which may {@link #shut} it. What it throws comes out; if
   *     it is not shut by then, it is as before. A later close runs it again
   */
  void close(Runnable leave) {
    Thread closer = Thread.currentThread();
    Thread before = null;
    boolean taken = false;
    while (!taken) {
      // S8: taken as by take, so that no other thread comes online while this one closes.
      before = (Thread) THREAD.compareAndExchange(this, null, closer);
      if (before != null && before.isAlive()) {
        throw new VcpuException(
            "vCPU "
                + index
                + " is online in "
                + before
                + "; that thread has to close it, or take it offline first");
      }
      taken = before == null || thread == before; // else it went offline meanwhile, and then ended
    }
    try {
      leave.run();
      shut = true;
      left = true;
    } finally {
      if (before == null) {
        thread = null;
      } // else it stays the dead thread's: a barrier may be looking
    }
  }

  /** {@return whether its thread ended and has it still; reported once} */
  boolean isDead() {
    Thread now = thread;
    if (now == null || now.isAlive() || thread != now) {
      return false; // the last: it went offline, and then ended
    }
    if (deathReported.compareAndSet(false, true)) {
      String who = "vCPU " + index + ": " + now;
      group
          .errorHandler()
          .accept(
              new VcpuException(
                  who
                      + " ended while online; it counts as offline now, and should have closed"
                      + " it"));
    }
    return true;
  }

  private RuntimeException isClosed() {
    return new VcpuException("vCPU " + index + " is closed");
  }

  private RuntimeException usedBy(@Nullable Thread other) {
    Thread thread = Thread.currentThread();
    return new VcpuException(
        "vCPU " + index + " is used by " + thread + " while it is online in " + other);
  }

  /** Why the calling thread, whose vCPU {@code own} is, cannot bring {@code other} online. */
  static String runsAlready(VcpuState own, VcpuState other) {
    if (other == own) {
      return "vCPU "
          + own.index()
          + " waits for others and is offline to them: what "
          + Thread.currentThread()
          + " calls meanwhile cannot run it";
    }
    return Thread.currentThread()
        + " runs vCPU "
        + own.index()
        + " already, and cannot run vCPU "
        + other.index()
        + " too: it has to take that one offline first. One thread may run several vCPUs in turn:"
        + " a.offline(); b.online();";
  }

  @Override
  public String toString() {
    return shut ? "closed" : "of " + thread;
  }
}
