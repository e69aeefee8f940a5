package dev.smudge.sync;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.agrona.ErrorHandler;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.agrona.concurrent.IdleStrategy;
import org.jspecify.annotations.Nullable;

/**
 * The vCPUs of one log, and what is asked of all of them: the handshake that is the after-sync
 * barrier, and the pause.
 *
 * <p>The barrier is request and acknowledgement. The collector has cleared live bits; it takes a
 * request number r, tells every vCPU, and waits until each has acknowledged r or a later one, is
 * offline, or is dead. A vCPU acknowledges at a safepoint, where every earlier store is marked. A
 * counter that vCPUs bump on their own would not do: a load of a live bit may pass the vCPU's own
 * buffered counter store. Nobody waits for a vCPU while holding a lock. Source: design 3.3; QEMU
 * 9458a9a1df1a.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
final class VcpuGroup {
  private static final VarHandle REQUESTED;
  private static final VarHandle COMPLETED;
  private static final int SPINS = 200;

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      REQUESTED = lookup.findVarHandle(VcpuGroup.class, "requested", long.class);
      COMPLETED = lookup.findVarHandle(VcpuGroup.class, "completed", long.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final boolean stopped;
  private final long timeoutNanos;
  final ErrorHandler errorHandler;

  private volatile LogVcpu[] vcpus = new LogVcpu[0];
  private volatile long requested;
  private volatile long completed;
  private volatile long armEpoch;

  private final ReentrantLock lock = new ReentrantLock(); // the list, and the pause
  private final Condition changed = lock.newCondition();
  private volatile @Nullable VcpuPause pause;
  private volatile boolean collecting; // there is a client

  VcpuGroup(boolean stopped, long timeoutNanos, ErrorHandler errorHandler) {
    this.stopped = stopped;
    this.timeoutNanos = timeoutNanos;
    this.errorHandler = errorHandler;
  }

  boolean isStopped() {
    return stopped;
  }

  LogVcpu[] vcpus() {
    return vcpus;
  }

  void add(LogVcpu vcpu) {
    lock.lock();
    try {
      LogVcpu[] more = Arrays.copyOf(vcpus, vcpus.length + 1);
      more[vcpus.length] = vcpu;
      // ORDER S7 volatile: the list is published before the vCPU comes online (S5). Pairs with the
      // read in barrier. If weaker: a barrier misses a vCPU that saw live bits from before its
      // clear.
      vcpus = more;
    } finally {
      lock.unlock();
    }
  }

  /** Removes a vCPU; returns whether it was there. */
  boolean remove(LogVcpu vcpu) {
    lock.lock();
    try {
      int before = vcpus.length;
      vcpus = Arrays.stream(vcpus).filter(v -> v != vcpu).toArray(LogVcpu[]::new);
      return vcpus.length < before;
    } finally {
      lock.unlock();
    }
  }

  /** The vCPU that the calling thread runs, if it is online. */
  @Nullable LogVcpu self() {
    Thread thread = Thread.currentThread();
    for (LogVcpu vcpu : vcpus) {
      if (vcpu.owner() == thread) {
        return vcpu;
      }
    }
    return null;
  }

  /** The newest request number given out. */
  long requested() {
    return requested;
  }

  /**
   * The newest request number given out. Whoever acknowledges a later one sees what the caller did
   * before this.
   */
  long requestedAtEndOfFetch() {
    // ORDER S9 volatile: an atomic step, so that the next request (S1) comes after it, and with it
    // after the exchange of the summary (B5). Pairs with the volatile load of the request in
    // LogVcpu.acknowledge. If weaker (a load): nothing on x86 and ARMv8; but by the rules a vCPU
    // may acknowledge and still see the summary bit that the fetch took (B2).
    return (long) REQUESTED.getAndAdd(this, 0L);
  }

  /** The newest request that every vCPU has acknowledged. */
  long completed() {
    return completed;
  }

  /** How often pages were armed; a vCPU whose number is older runs its arm callback. */
  long armEpoch() {
    return armEpoch;
  }

  /** Called under the collector lock after live bits were cleared, before the barrier. */
  @SuppressWarnings("NonAtomicVolatileUpdate") // one writer at a time: the collector lock
  void pagesArmed() {
    // ORDER S3 volatile: the clears come before the new number. Pairs with the read in
    // LogVcpu.acknowledge. If weaker: a vCPU drops its write TLB, refills it from a live bit that
    // is about to be cleared, and does not drop it again.
    armEpoch = armEpoch + 1;
  }

  void barrier() {
    if (stopped) {
      // The caller's word that nothing runs: every request is acknowledged as it is made.
      complete((long) REQUESTED.getAndAdd(this, 1L) + 1);
      return;
    }
    LogVcpu self = self();
    if (self == null) {
      handshake(null);
      return;
    }
    self.leaveToWait("a barrier");
    try {
      handshake(self);
    } finally {
      self.returnFromWait();
    }
  }

  private void handshake(@Nullable LogVcpu self) {
    VcpuRequest asked = request(self);
    long deadline = System.nanoTime() + timeoutNanos;
    for (LogVcpu vcpu : asked.vcpus) {
      if (vcpu != self) {
        await(vcpu, asked.number, deadline, "acknowledge a barrier");
      }
    }
    complete(asked.number);
  }

  /** Asks every vCPU but one for an acknowledgement; does not wait. */
  VcpuRequest request(@Nullable LogVcpu except) {
    // ORDER S1 volatile: live bits are cleared before the request is visible. Pairs with the
    // volatile load of the request in LogVcpu.acknowledge (S2). If weaker: a vCPU acknowledges, and
    // still sees 'set'. Being volatile, as the loads of the list and of the states after it are, it
    // also keeps those behind the clears (S4, S5, S7).
    long number = (long) REQUESTED.getAndAdd(this, 1L) + 1;
    LogVcpu[] all = vcpus;
    for (LogVcpu vcpu : all) {
      if (vcpu != except) {
        vcpu.request(LogVcpu.BARRIER);
      }
    }
    return new VcpuRequest(number, all);
  }

  private void complete(long request) {
    long before = completed;
    while (before < request && !COMPLETED.compareAndSet(this, before, request)) {
      before = completed;
    }
  }

  /** Waits until the vCPU has acknowledged a request, is offline or dead. */
  private void await(LogVcpu vcpu, long request, long deadline, String what) {
    for (int spin = 0; spin < SPINS; spin++) {
      if (vcpu.hasAcknowledged(request) || vcpu.isOffline()) {
        return;
      }
      Thread.onSpinWait();
    }
    IdleStrategy idle =
        new BackoffIdleStrategy(
            0, 20, TimeUnit.MICROSECONDS.toNanos(1), TimeUnit.MICROSECONDS.toNanos(200));
    while (!vcpu.hasAcknowledged(request) && !vcpu.isOffline() && !vcpu.isDead()) {
      if (System.nanoTime() - deadline > 0) {
        throw vcpu.timeout(what, timeoutNanos);
      }
      idle.idle();
    }
  }

  VcpuPause pause() {
    if (stopped) {
      return new VcpuPause(this, null);
    }
    LogVcpu self = self();
    VcpuPause mine = new VcpuPause(this, self);
    if (self == null) {
      takePause(mine);
    } else {
      self.leaveToWait("a pause");
      try {
        takePause(mine);
      } finally {
        self.returnFromWait();
      }
    }
    try {
      // ORDER S6 volatile: the pause is visible before the states are read. Pairs with S5. If
      // weaker: a vCPU comes online and this thread still sees it offline.
      VarHandle.fullFence();
      LogVcpu[] all = vcpus;
      for (LogVcpu vcpu : all) {
        if (vcpu != self) {
          vcpu.request(LogVcpu.PAUSE);
        }
      }
      long deadline = System.nanoTime() + timeoutNanos;
      for (LogVcpu vcpu : all) {
        if (vcpu != self) {
          await(vcpu, Long.MAX_VALUE, deadline, "pause");
        }
      }
    } catch (RuntimeException | Error e) {
      resume(mine);
      throw e;
    }
    return mine;
  }

  private void takePause(VcpuPause mine) {
    lock.lock();
    try {
      long left = timeoutNanos;
      for (VcpuPause other = pause; other != null; other = pause) {
        if (other.holder == Thread.currentThread()) {
          throw new VcpuException(
              "this thread holds a pause already; close that one first: " + other.holder);
        }
        if (left <= 0) {
          throw new VcpuTimeoutException(
              "waited "
                  + timeoutNanos / 1_000_000
                  + " ms for the pause that "
                  + other.holder
                  + " holds",
              LogVcpu.stackOf(other.holder));
        }
        left = awaitChange(left);
      }
      pause = mine;
    } finally {
      lock.unlock();
    }
  }

  @SuppressWarnings("WaitNotInLoop") // the caller's
  private long awaitChange(long nanos) {
    long start = System.nanoTime();
    boolean interrupted = Thread.interrupted();
    try {
      long left = changed.awaitNanos(nanos);
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      return left;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return nanos - (System.nanoTime() - start);
    }
  }

  void resume(VcpuPause mine) {
    lock.lock();
    try {
      if (pause == mine) {
        pause = null;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Whether a pause by another than {@code vcpu} is on. */
  boolean isPausedFor(LogVcpu vcpu) {
    VcpuPause current = pause;
    return current != null && current.exempt != vcpu;
  }

  void checkHoldsNoPause(LogVcpu vcpu) {
    VcpuPause current = pause;
    if (current != null && current.exempt != vcpu && current.holder == Thread.currentThread()) {
      throw new VcpuException(
          "vCPU "
              + vcpu.index()
              + " cannot come online in "
              + current.holder
              + ", which holds a pause: it would wait for itself. Close the pause first");
    }
  }

  /** Says whether anybody collects; if nobody does, no vCPU waits for its ring. */
  void setCollecting(boolean now) {
    collecting = now;
    wake();
  }

  boolean isCollecting() {
    return collecting;
  }

  /** Something has changed that an offline vCPU may wait for: a reset, a dirty limit. */
  void wake() {
    lock.lock();
    try {
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Whether there is no room in the ring of the calling vCPU, and somebody who may make some. */
  boolean isWaitedForRoom(VcpuRing ring) {
    return collecting && ring.isSoftFull();
  }

  /**
   * Waits until the ring of the calling vCPU, which is offline, is not soft full any more, nobody
   * collects, or the thread is interrupted.
   *
   * @return false after the timeout
   */
  boolean awaitRoom(VcpuRing ring) {
    long left = timeoutNanos;
    lock.lock();
    try {
      while (isWaitedForRoom(ring) && !Thread.currentThread().isInterrupted()) {
        if (left <= 0) {
          return false;
        }
        left = awaitChange(left);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }

  long timeoutNanos() {
    return timeoutNanos;
  }

  long timeoutMillis() {
    return timeoutNanos / 1_000_000;
  }

  /**
   * Waits until a dirty limit allows more, nobody collects, or the thread is interrupted. The
   * calling vCPU is offline.
   */
  void awaitPaid(DirtyLimit limit) {
    lock.lock(); // before the look at the limit: who raises it has to find this thread waiting
    try {
      long left = limit.pay(System.nanoTime());
      while (collecting && left > 0 && !Thread.currentThread().isInterrupted()) {
        awaitChange(left);
        left = limit.pay(System.nanoTime());
      }
    } finally {
      lock.unlock();
    }
  }

  /** Waits, without a limit, until no pause by another is on. The vCPU is offline meanwhile. */
  void awaitResume(LogVcpu vcpu) {
    lock.lock();
    try {
      while (isPausedFor(vcpu)) {
        changed.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }
}
