package dev.smudge.sync.internal.vcpu;

import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * Stops all vCPUs, each at a safepoint or offline, until the pause ends. One pause at a time: a
 * second caller waits for the first to end.
 */
@SuppressWarnings("ReferenceEquality") // threads and vCPUs are compared by identity
public final class Pauses {
  /** A pause that is on, or was. */
  public static final class Pause {
    private final Thread holder = Thread.currentThread();
    private final @Nullable VcpuState exempt; // the holder's own vCPU

    private Pause(@Nullable VcpuState exempt) {
      this.exempt = exempt;
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
    VcpuState self = group.self();
    Pause mine = new Pause(self);
    if (self == null) {
      takeTurn(mine);
    } else {
      self.leaveToWait("a pause");
      try {
        takeTurn(mine);
      } finally {
        self.returnFromWait();
      }
    }
    try {
      stop(self);
    } catch (RuntimeException | Error e) {
      resume(mine);
      throw e;
    }
    return mine;
  }

  private void takeTurn(Pause mine) {
    signal.lock();
    try {
      long left = group.timeoutNanos();
      for (Pause other = current; other != null; other = current) {
        if (other.holder == Thread.currentThread()) {
          throw group
              .errors()
              .misuse("this thread holds a pause already; close that one first: " + other.holder);
        }
        if (left <= 0) {
          throw group
              .errors()
              .timeout(
                  "waited "
                      + group.timeoutMillis()
                      + " ms for the pause that "
                      + other.holder
                      + " holds",
                  other.holder);
        }
        left = signal.await(left);
      }
      current = mine;
    } finally {
      signal.unlock();
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
    long deadline = System.nanoTime() + group.timeoutNanos();
    for (VcpuState vcpu : all) {
      if (vcpu != self) {
        group.handshake().await(vcpu, Long.MAX_VALUE, deadline, "pause");
      }
    }
  }

  /**
   * Ends a pause. A second call does nothing.
   *
   * @param mine the pause
   */
  public void resume(Pause mine) {
    signal.lock();
    try {
      if (current == mine) {
        current = null;
        signal.wakeLocked();
      }
    } finally {
      signal.unlock();
    }
  }

  /** Whether a pause by another than {@code vcpu} is on. */
  boolean isPausedFor(VcpuState vcpu) {
    Pause pause = current;
    return pause != null && pause.exempt != vcpu;
  }

  void checkHoldsNone(VcpuState vcpu) {
    Pause pause = current;
    if (pause != null && pause.exempt != vcpu && pause.holder == Thread.currentThread()) {
      throw group
          .errors()
          .misuse(
              "vCPU "
                  + vcpu.index()
                  + " cannot come online in "
                  + pause.holder
                  + ", which holds a pause: it would wait for itself. Close the pause first");
    }
  }

  /** Waits, without a limit, until no pause by another is on. The vCPU is offline meanwhile. */
  void awaitResume(VcpuState vcpu) {
    signal.lock();
    try {
      while (isPausedFor(vcpu)) {
        signal.awaitUninterruptibly();
      }
    } finally {
      signal.unlock();
    }
  }
}
