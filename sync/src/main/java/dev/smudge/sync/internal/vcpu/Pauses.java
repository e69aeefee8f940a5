package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.event.PauseEvent;
import dev.smudge.sync.internal.time.Patience;
import java.lang.invoke.VarHandle;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Stops all vCPUs, each at a safepoint or offline, until the pause ends. One pause at a time: a
 * second caller waits for the first to end.
 *
 * <p>A pause is its thread's: it ends when that thread ends, which whoever waits for it looks for
 * now and then. A pause that takes longer than the timeout is reported by each vCPU that waits in
 * it, which goes on waiting: the guest has to stand still for as long as the holder wants. When the
 * log is closed, nobody waits any more.
 */
@SuppressWarnings("ReferenceEquality") // threads and vCPUs are compared by identity
public final class Pauses {
  /** How often a vCPU that has reported its long wait looks whether the holder has ended. */
  private static final long DEATH_LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** A pause that is on, or was. */
  public static final class Pause {
    private final Thread holder = Thread.currentThread();
    private final @Nullable VcpuState exempt; // the holder's own vCPU
    private final PauseEvent event = new PauseEvent();

    private Pause(@Nullable VcpuState exempt) {
      this.exempt = exempt;
    }

    /** Whether it stops a vCPU in the calling thread. */
    private boolean stops(VcpuState vcpu) {
      return exempt != vcpu || holder != Thread.currentThread();
    }
  }

  private final VcpuGroup group;
  private final VcpuSignal signal;
  private volatile @Nullable Pause current; // written under the signal's lock

  Pauses(VcpuGroup group, VcpuSignal signal) {
    this.group = group;
    this.signal = signal;
  }

  /**
   * Stops all vCPUs but the caller's own.
   *
   * @return the pause, to be given to {@link #resume}; nothing is paused if this throws
   */
  public Pause pause() {
    group.checkMayWait("a pause");
    VcpuState self = group.self();
    Pause mine = new Pause(self);
    mine.event.begin();
    long start = System.nanoTime();
    try {
      if (self == null) {
        takeTurn(mine);
      } else {
        self.waitAside("a pause", () -> takeTurn(mine)); // its arm callback may throw after that
      }
      stop(self);
      mine.event.stopping = System.nanoTime() - start;
    } catch (Throwable e) {
      resume(mine);
      throw e;
    }
    return mine;
  }

  private void takeTurn(Pause mine) {
    Patience patience = new Patience(group.timeoutNanos());
    boolean taken = false;
    while (!taken) {
      Pause dead = null;
      signal.lock();
      try {
        Pause other = current;
        if (other == null) {
          current = mine;
          taken = true;
        } else if (!other.holder.isAlive()) {
          dead = other;
          endLocked();
        } else {
          checkMayWait(other, patience);
          signal.await(patience.slice());
        }
      } finally {
        signal.unlock();
      }
      report(dead);
    }
  }

  private void checkMayWait(Pause other, Patience patience) {
    if (other.holder == Thread.currentThread()) {
      throw new VcpuException(
          "this thread holds a pause already; close that one first: " + other.holder);
    }
    if (group.isClosed()) {
      throw new VcpuException(
          "the dirty log was closed, and nobody waits any more for the pause that "
              + other.holder
              + " holds");
    }
    if (patience.isOver()) {
      throw new VcpuTimeoutException(
          "waited " + group.timeoutMillis() + " ms for the pause that " + other.holder + " holds",
          other.holder);
    }
  }

  /** Tells of a pause that has ended because its holder has. */
  private void report(@Nullable Pause dead) {
    if (dead != null) {
      group
          .errorHandler()
          .accept(
              new VcpuException(
                  dead.holder
                      + " has ended and has not closed its pause; the pause has ended now, and"
                      + " the vCPUs go on. Close it in the thread that has called pause()"));
    }
  }

  private void stop(@Nullable VcpuState self) {
    // ORDER S6 volatile: the pause is visible before the states are read. Pairs with S5. If weaker:
    // a vCPU comes online and this thread still sees it offline.
    VarHandle.fullFence();
    VcpuState[] all = group.vcpus();
    for (VcpuState vcpu : all) {
      if (vcpu != self) {
        vcpu.request(VcpuState.PAUSE);
      }
    }
    Patience patience = new Patience(group.timeoutNanos());
    for (VcpuState vcpu : all) {
      if (vcpu != self) {
        group.handshake().await(vcpu, Long.MAX_VALUE, patience, "pause");
      }
    }
  }

  /**
   * Ends a pause. A second call does nothing.
   *
   * @param mine the pause
   */
  public void resume(Pause mine) {
    boolean ended = false;
    signal.lock();
    try {
      if (current == mine) {
        endLocked();
        ended = true;
      }
    } finally {
      signal.unlock();
    }
    if (ended && mine.event.shouldCommit()) {
      mine.event.commit();
    }
  }

  private void endLocked() {
    current = null;
    signal.wakeLocked();
  }

  /** Whether a pause is on that stops {@code vcpu}, which is the calling thread's. */
  boolean isPausedFor(VcpuState vcpu) {
    Pause pause = current;
    return pause != null && pause.stops(vcpu);
  }

  void checkHoldsNone(VcpuState vcpu) {
    Pause pause = current;
    if (pause != null && pause.stops(vcpu) && pause.holder == Thread.currentThread()) {
      throw new VcpuException(
          "vCPU "
              + vcpu.index()
              + " cannot come online in "
              + pause.holder
              + ", which holds a pause: it would wait for itself. Close the pause first");
    }
  }

  /**
   * Waits until no pause by another is on, or the log is closed; not under the collector lock. The
   * vCPU is offline meanwhile. An interrupt does not end the wait, and is kept.
   */
  void awaitResume(VcpuState vcpu) {
    long session = vcpu.session();
    Patience patience = new Patience(group.timeoutNanos());
    boolean late = false;
    boolean reported = false;
    while (isPausedFor(vcpu) && group.mayWait() && vcpu.isSession(session)) {
      Pause dead = null;
      Pause tooLong = null;
      signal.lock();
      try {
        Pause pause = current;
        if (pause != null && !pause.holder.isAlive()) {
          dead = pause;
          endLocked();
        } else if (late && !reported) {
          tooLong = pause;
        } else if (pause != null && !group.isClosed()) {
          signal.await(reported ? DEATH_LOOK_NANOS : patience.slice());
        }
      } finally {
        signal.unlock();
      }
      late = patience.isOver();
      if (tooLong != null) {
        reported = true;
        group.handlerInAWait().accept(waitsForPause(vcpu, tooLong));
      }
      report(dead);
    }
  }

  private RuntimeException waitsForPause(VcpuState vcpu, Pause pause) {
    return new VcpuTimeoutException(
        "vCPU "
            + vcpu.index()
            + " ("
            + Thread.currentThread()
            + ") has waited "
            + group.timeoutMillis()
            + " ms for the end of the pause that "
            + pause.holder
            + " holds, whose stack is the cause; it waits until that thread closes it, or ends",
        pause.holder);
  }

  /** Why a vCPU does not wait, or not any more, for the end of a pause that is on. */
  RuntimeException notWaitedFor(VcpuState vcpu) {
    Pause pause = current;
    return new VcpuException(
        "vCPU "
            + vcpu.index()
            + " was to wait for the end of the pause that "
            + (pause == null ? null : pause.holder)
            + " holds, and "
            + (group.isClosed()
                ? "the dirty log is closed"
                : "this is a call under the collector lock, which that thread may need")
            + ": the vCPU is offline");
  }
}
