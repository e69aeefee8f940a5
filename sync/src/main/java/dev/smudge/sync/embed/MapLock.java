package dev.smudge.sync.embed;

import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.internal.time.Patience;
import dev.smudge.sync.internal.vcpu.VcpuGroup;
import dev.smudge.sync.internal.vcpu.VcpuState;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The lock of an embedder's map. vCPU threads take it too: while one waits for it, it is offline,
 * so that a holder may wait for vCPUs. A call that would wait for itself fails at once, one that
 * waits too long in the end. Not reentrant.
 */
public final class MapLock {
  private final Collector collector;
  private final String what;
  private final ReentrantLock lock = new ReentrantLock();
  private volatile @Nullable Thread holder; // for messages

  MapLock(Collector collector, String what) {
    this.collector = collector;
    this.what = what;
  }

  /**
   * Takes the lock. A vCPU that has to wait is offline meanwhile: call it where it holds no
   * half-done store.
   *
   * <p>An interrupt does not end the wait, and is kept.
   *
   * @throws IllegalStateException if the calling thread holds it already, or is inside a call of a
   *     device under the collector lock; or if the log is closed while this thread waits
   * @throws dev.smudge.sync.error.VcpuTimeoutException if it is not free in time; the cause is the
   *     holder's stack
   * @throws dev.smudge.sync.error.VcpuException if it would have to wait in an arm callback
   */
  public void lock() {
    StackRoom.check(); // so that there is enough of it to give the lock back
    if (lock.isHeldByCurrentThread()) {
      throw new IllegalStateException(
          "this thread is inside " + what + " already: do it when that has ended");
    }
    if (collector.isLockedByMe()) {
      throw new IllegalStateException(
          what
              + " from inside a call under the collector lock would wait for itself: let another "
              + "thread do it, after that call");
    }
    boolean returns = false;
    try {
      if (!lock.tryLock()) {
        await();
      }
      holder = Thread.currentThread();
      returns = true;
    } finally {
      if (!returns && lock.isHeldByCurrentThread()) {
        lock.unlock(); // the stack has ended on the way out, and the caller will not give it back
      }
    }
  }

  private void await() {
    VcpuGroup vcpus = collector.vcpus();
    Patience patience = new Patience(vcpus.timeoutNanos());
    boolean closed = vcpus.isClosed(); // then whoever closes it may need the lock
    boolean taken = false;
    while (!taken && !lock.tryLock()) {
      VcpuState self = vcpus.self();
      if (self == null) {
        takeWithin(patience, closed);
        taken = true;
      } else {
        self.waitAside(
            what,
            new Runnable() { // no lambda over a boolean: it may stay unlinked (design.md 3.8)
              @Override
              public void run() {
                takeWithin(patience, closed);
                lock.unlock(); // to come online may mean to wait for a pause: not with the lock
              }
            });
      }
    }
  }

  private void takeWithin(Patience patience, boolean closed) {
    boolean interrupted = false;
    try {
      boolean taken = false;
      while (!taken) {
        Thread thread = holder;
        if (collector.vcpus().isClosed() && !closed) {
          throw new IllegalStateException(
              "the dirty log was closed while this thread waited for " + what + " by " + thread);
        }
        if (patience.isOver()) {
          throw new VcpuTimeoutException(
              "waited " + collector.vcpus().timeoutMillis() + " ms for " + what + " by " + thread,
              thread);
        }
        try {
          taken = lock.tryLock(patience.slice(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
          interrupted = true; // the next turn sleeps
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** {@return whether the calling thread holds it} */
  public boolean isMine() {
    return lock.isHeldByCurrentThread();
  }

  /**
   * Gives the lock back.
   *
   * @throws IllegalMonitorStateException if the calling thread does not hold it
   */
  public void unlock() {
    if (lock.isHeldByCurrentThread()) {
      holder = null;
    }
    lock.unlock();
  }
}
