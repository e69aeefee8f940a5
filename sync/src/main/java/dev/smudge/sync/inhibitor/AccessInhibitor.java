package dev.smudge.sync.inhibitor;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.stack.RoomyLock;
import dev.smudge.sync.internal.time.Patience;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Keeps guest accesses out while slots are changed in more than one step, so that no vCPU sees the
 * hole in between. For backends whose slot update is not atomic: KVM deletes a slot and adds
 * another.
 *
 * <p>A vCPU thread puts each {@code KVM_RUN} between {@link InhibitableAccess#enter} and {@link
 * InhibitableAccess#leave}. A changer calls {@link #inhibit}, makes its steps, and closes the
 * {@link Hold}:
 *
 * <pre>{@code
 * access.enter();
 * try { ioctl(KVM_RUN) } finally { access.leave(); }
 *
 * try (Hold hold = inhibitor.inhibit()) { delete; add; }
 * }</pre>
 *
 * <p>Each access has its own word, which says whether its thread is inside; all share a flag that
 * only changers write. A thread that enters stores its word, then looks at the flag; the changer
 * raises the flag, then looks at the words: so one of the two sees the other. A thread that leaves
 * clears its word, then looks at the flag, and wakes the changer if the flag is up. Everything else
 * is done under a fair lock: a thread that waited to enter is in before the next change begins.
 *
 * <p>The inhibitor knows nothing of a dirty log. A holder must not wait for a barrier, nor for
 * anything else that a thread which waits in {@code enter} would have to do.
 *
 * <p>Source: QEMU accel/accel-blocker.c; docs/design.md 3.6; docs/bugs.md row 17.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class AccessInhibitor implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger(AccessInhibitor.class.getName());

  /** How often threads that wait to enter look whether the holder has died, which wakes nobody. */
  private static final long DEATH_LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final long timeoutNanos;
  private final Consumer<? super Throwable> errorHandler;
  private final RoomyLock lock = new RoomyLock(true);
  private final Condition left = lock.newCondition(); // for the changer
  private final Condition released = lock.newCondition(); // for changers and threads that enter

  // Written under the lock.
  private volatile boolean inhibited;
  private InhibitableAccess[] accesses = new InhibitableAccess[0];
  private int added;
  private @Nullable Thread holder;
  private int holds;
  private boolean endsWithHolder; // all of the holder's holds are pauses
  private long era; // counts the holders: a close of a hold of an earlier one does nothing
  private boolean holderWaits; // not all have left yet; only the holder uses it
  private boolean closed;
  private boolean heldAtClose; // the present hold began before the close

  private AccessInhibitor(long timeoutNanos, Consumer<? super Throwable> errorHandler) {
    this.timeoutNanos = timeoutNanos;
    this.errorHandler = errorHandler;
  }

  /**
   * As {@link #create(Duration, Consumer)}, with ten seconds and the system logger {@code
   * dev.smudge.sync.inhibitor.AccessInhibitor}.
   *
   * @return an inhibitor without accesses
   */
  public static AccessInhibitor create() {
    return create(
        Duration.ofSeconds(10),
        e -> LOGGER.log(System.Logger.Level.ERROR, "access inhibitor: " + e.getMessage(), e));
  }

  /**
   * Returns an inhibitor without accesses.
   *
   * @param timeout how long {@link #inhibit} waits at most, in all: more than zero, at most a day
   * @param errorHandler told of threads that have ended inside an access, by the thread that called
   *     {@code inhibit}; must not throw
   * @return an inhibitor without accesses
   * @throws IllegalArgumentException if the timeout is outside that
   */
  public static AccessInhibitor create(Duration timeout, Consumer<? super Throwable> errorHandler) {
    if (timeout.isZero() || timeout.isNegative() || timeout.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "timeout " + timeout + " is not more than zero and at most a day");
    }
    return new AccessInhibitor(
        timeout.toNanos(), Objects.requireNonNull(errorHandler, "errorHandler"));
  }

  /**
   * Adds an access for a thread: a vCPU's, or a device's. From any thread, also while accesses are
   * inhibited.
   *
   * <p>The kick has to make its thread leave soon, wherever it is between {@code enter} and {@code
   * leave}. The changer calls it once per change. For {@code KVM_RUN} it sets {@code
   * immediate_exit} in the vCPU's {@code kvm_run}, then sends a signal: the signal alone is lost on
   * a vCPU that has entered and not yet reached the ioctl, {@code immediate_exit} alone is not seen
   * by one that is in the guest. The thread clears {@code immediate_exit} before {@code enter},
   * never between {@code enter} and the ioctl. A kick must not wait for anything. It may come late,
   * when its thread has left, waits to enter, or has ended, but never after {@link
   * InhibitableAccess#close} has returned.
   *
   * @param kick called by the thread that changes, while it holds no lock that {@code enter} and
   *     {@code leave} need; if it throws, {@link #inhibit} fails with that
   * @return the access, outside, of no thread yet
   */
  public InhibitableAccess addAccess(Runnable kick) {
    Objects.requireNonNull(kick, "kick");
    lock.lock();
    try {
      InhibitableAccess access = new InhibitableAccess(this, added++, kick);
      accesses = Arrays.copyOf(accesses, accesses.length + 1);
      accesses[accesses.length - 1] = access;
      return access;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Keeps all threads from entering, kicks those inside, and sleeps until all have left. Until the
   * last hold is closed, no thread is between {@code enter} and {@code leave}. A thread that
   * already has a hold gets another at once. If another thread has one, this call waits until it is
   * closed. From any thread that is outside its accesses; an interrupt does not end the wait and is
   * kept. The caller sees everything that was done inside, and threads that enter later see what
   * the caller did.
   *
   * @return the hold; close it
   * @throws VcpuException if this thread is inside an access, or this is a kick, so that it would
   *     wait for itself; or if the thread that holds has ended
   * @throws VcpuTimeoutException if an access does not leave in time, or another's hold is not
   *     closed; the message names the thread, the cause has its stack. As after everything that is
   *     thrown here: this call inhibits nothing any more, and all go on
   */
  public Hold inhibit() {
    return inhibit(false);
  }

  /**
   * As {@link #inhibit}, for a caller that changes nothing meanwhile. If its thread ends, the hold
   * ends too, because nobody can see half of a change. The next thread that would wait for the hold
   * finds this, tells the error handler, and goes on.
   *
   * @return the hold; close it
   * @throws VcpuException as {@link #inhibit}
   * @throws VcpuTimeoutException as {@link #inhibit}
   */
  public Hold pause() {
    return inhibit(true);
  }

  private Hold inhibit(boolean pause) {
    Hold hold = new Hold();
    Patience patience = new Patience(timeoutNanos);
    InhibitableAccess[] all;
    Thread dead;
    lock.lockWithRoomToLockAgain(); // the hold is closed after an error
    try {
      if (holder == Thread.currentThread()) {
        if (holderWaits) {
          throw InhibitorErrors.inKick(holder);
        }
        holds++;
        endsWithHolder &= pause;
        hold.era = era;
        return hold;
      }
      checkIsOutside();
      dead = awaitTurn(patience);
      if (holder != null) {
        hold.closed = true; // another's pause is on, and this hold has no effect
      } else {
        holder = Thread.currentThread();
        holds = 1;
        endsWithHolder = pause;
        hold.era = era;
        holderWaits = true;
      }
      // ORDER I2 volatile: the flag is up before the words of the accesses are looked at. Pairs
      // with I1 in enter, and with I3 in leave. If weaker: a thread is inside, and the changer has
      // seen it outside; or the changer sleeps, and nobody wakes it.
      inhibited = true;
      all = accesses;
    } finally {
      lock.unlock();
    }
    try {
      reportPauseOf(dead);
      for (InhibitableAccess access : all) {
        access.kickIfInside();
      }
      awaitAllOutside(patience);
    } catch (Throwable e) {
      hold.close();
      throw e;
    }
    return hold;
  }

  private void checkIsOutside() {
    for (InhibitableAccess access : accesses) {
      if (access.isInsideOf(Thread.currentThread())) {
        throw InhibitorErrors.inside(access);
      }
    }
  }

  /**
   * Waits until no thread holds accesses back. After {@link #close} it does not wait for the end of
   * a pause. Returns the thread whose pause has ended with it, if one has.
   */
  private @Nullable Thread awaitTurn(Patience patience) {
    Thread dead = null;
    for (Thread other = holder;
        other != null && !(isPauseAtClose() && other.isAlive());
        other = holder) {
      if (endsNow(other)) {
        dead = other;
      } else if (!await(released, patience)) {
        throw InhibitorErrors.otherHolds(timeoutMillis(), other);
      }
    }
    return dead;
  }

  /** Ends the pause of a thread that has ended; returns whether it did. Refuses one in a change. */
  private boolean endsNow(Thread thread) {
    if (thread.isAlive()) {
      return false;
    }
    if (!endsWithHolder) {
      throw InhibitorErrors.endedInAChange(thread);
    }
    endLocked();
    return true;
  }

  private void reportPauseOf(@Nullable Thread dead) {
    if (dead != null) {
      errorHandler.accept(InhibitorErrors.endedInAPause(dead));
    }
  }

  /** Whether the present hold is a pause from before the close: nobody waits for its end. */
  private boolean isPauseAtClose() {
    return heldAtClose && endsWithHolder;
  }

  private void endLocked() {
    heldAtClose = false;
    era++;
    holds = 0;
    holder = null;
    holderWaits = false;
    // ORDER I4 volatile: the change comes before the flag is down. Pairs with the look at
    // the flag in enter. If weaker: a thread that enters sees half of the change.
    inhibited = false;
    released.signalAll();
  }

  private void awaitAllOutside(Patience patience) {
    List<InhibitableAccess> dead = new ArrayList<>(0);
    lock.lock();
    try {
      for (InhibitableAccess busy = firstInside(dead); busy != null; busy = firstInside(dead)) {
        if (!await(left, patience)) {
          throw busy.timeout(timeoutMillis());
        }
      }
    } finally {
      lock.unlock();
      for (InhibitableAccess access : dead) {
        errorHandler.accept(InhibitorErrors.endedInside(access));
      }
    }
    holderWaits = false;
  }

  /** An access whose living thread is inside. Those of dead threads are put outside, and listed. */
  private @Nullable InhibitableAccess firstInside(List<InhibitableAccess> dead) {
    InhibitableAccess found = null;
    for (InhibitableAccess access : accesses) {
      if (access.isInside()) {
        if (access.hasEnded()) {
          access.setInside(false);
          dead.add(access);
        } else if (found == null) {
          found = access;
        }
      }
    }
    return found;
  }

  private long timeoutMillis() {
    return TimeUnit.NANOSECONDS.toMillis(timeoutNanos);
  }

  /**
   * Waits for a signal, at most until the clock, and who has died, have to be looked at again.
   * Returns false if the wait has taken too long.
   */
  private static boolean await(Condition event, Patience patience) {
    if (patience.isOver()) {
      return false;
    }
    sleep(event, patience.slice());
    return true;
  }

  @SuppressWarnings({"WaitNotInLoop", "ResultOfMethodCallIgnored"}) // the callers loop
  private static void sleep(Condition event, long nanos) {
    boolean interrupted = Thread.interrupted(); // else it would not sleep
    try {
      event.awaitNanos(nanos);
    } catch (InterruptedException e) {
      interrupted = true;
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  // What accesses call.

  boolean isInhibited() {
    return inhibited;
  }

  void attach(InhibitableAccess access) {
    lock.lock();
    try {
      access.attach();
    } finally {
      lock.unlock();
    }
  }

  /** A thread has stored that it is inside, then saw the flag: it goes outside again, and waits. */
  void awaitRelease(InhibitableAccess access) {
    Thread dead = null;
    lock.lock();
    try {
      access.setInside(false);
      left.signalAll();
      while (inhibited) {
        Thread other = Objects.requireNonNull(holder);
        if (other == Thread.currentThread()) {
          throw InhibitorErrors.enterByHolder(other);
        }
        if (endsNow(other)) {
          dead = other;
        } else if (isPauseAtClose()) {
          throw InhibitorErrors.closedInAPause(other);
        } else {
          sleep(released, DEATH_LOOK_NANOS);
        }
      }
      access.setInside(true);
    } finally {
      lock.unlock();
    }
    reportPauseOf(dead);
  }

  /**
   * From now on no thread waits for the end of another thread's {@link #pause}, which may never
   * come. A thread that would wait to enter gets an exception, because the holder of the pause may
   * still rely on nobody being inside. A thread that inhibits goes on beside the pause. From any
   * thread; a second call does nothing.
   */
  @Override
  public void close() {
    lock.lock();
    try {
      heldAtClose |= !closed && holder != null;
      closed = true;
      released.signalAll();
    } finally {
      lock.unlock();
    }
  }

  void wakeChanger() {
    lock.lock();
    try {
      left.signalAll();
    } finally {
      lock.unlock();
    }
  }

  void remove(InhibitableAccess access) {
    lock.lock();
    try {
      if (access.detach()) {
        accesses =
            Arrays.stream(accesses).filter(a -> a != access).toArray(InhibitableAccess[]::new);
        left.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Accesses are inhibited, from {@link AccessInhibitor#inhibit} until {@code close}. */
  public final class Hold implements AutoCloseable {
    private long era; // under the lock
    private boolean closed; // under the lock

    private Hold() {}

    /**
     * Ends this hold. After the last hold of the thread, all threads may enter again. From any
     * thread; a second call does nothing, nor does one after a {@link AccessInhibitor#pause} has
     * ended with its thread.
     */
    @Override
    public void close() {
      lock.lock();
      try {
        if (closed || era != AccessInhibitor.this.era) {
          return;
        }
        closed = true;
        holds--;
        if (holds == 0) {
          endLocked();
        }
      } finally {
        lock.unlock();
      }
    }
  }
}
