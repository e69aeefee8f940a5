package dev.smudge.sync.rcu;

import dev.smudge.sync.internal.time.Backoff;
import dev.smudge.sync.internal.time.Patience;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.agrona.concurrent.Agent;

/**
 * Read-copy-update: an element that readers may still use is reclaimed after a grace period.
 *
 * <p>A reader calls {@link #enter}, reads, and calls {@link #exit}. An updater unlinks an element,
 * so that no new reader finds it. It then either waits with {@link #synchronize} until every
 * section that had begun by then is over, and reclaims the element itself, or hands a task to
 * {@link #callRcu}, which runs after that moment. Elements must be published with release and read
 * with acquire, or stronger.
 *
 * <p><b>How it works.</b> A section publishes the epoch at which it began. A grace period begins a
 * new epoch and waits for the sections of older ones. A thread that is online as a vCPU of the log
 * publishes nothing and has no fence: a grace period waits until the vCPU has passed a safepoint or
 * is offline. If a section of that thread goes on over that moment, the vCPU publishes it then.
 *
 * <p><b>vCPU threads need no section</b> for an element that they find while they are online and
 * drop before their next safepoint, and before they go offline; then reading costs nothing. They go
 * offline when they call {@code offline}, and in every call that waits: a barrier, a pause, a lock
 * of the log, {@link #synchronize}. To keep an element over one of those, a vCPU thread has to
 * enter a section: without one the element may have been reclaimed, and no call here can detect
 * that.
 *
 * <p><b>Threads.</b> Any thread may call every method, virtual threads too; no thread is registered
 * by hand. A section belongs to the thread that entered it. No wait for a reader holds a lock.
 *
 * <p>Source: docs/design.md 3.7; liburcu (memb, qsbr).
 */
public final class Rcu {
  private static final System.Logger LOGGER = System.getLogger(Rcu.class.getName());
  private static final boolean STACKS = Boolean.getBoolean("dev.smudge.rcu.stacks");
  private static final int SPINS = 200;

  private final RcuVcpus vcpus;
  private final long timeoutNanos;
  private final RcuReaders readers;
  private final RcuReclaimer reclaimer;

  private Rcu(
      RcuVcpus vcpus, long timeoutNanos, Consumer<? super Throwable> errorHandler, boolean stacks) {
    this.vcpus = vcpus;
    this.timeoutNanos = timeoutNanos;
    this.readers = new RcuReaders(errorHandler, stacks);
    this.reclaimer = new RcuReclaimer(this, errorHandler);
  }

  /**
   * Makes an RCU without vCPUs, whose waits fail after 10 seconds, and whose errors go to the
   * system logger {@code dev.smudge.sync.rcu.Rcu}. {@code DirtyLog.rcu()} returns the RCU that
   * knows the vCPUs of a log.
   *
   * @return a new one
   */
  public static Rcu create() {
    return create(
        RcuVcpus.NONE,
        Duration.ofSeconds(10),
        e -> LOGGER.log(System.Logger.Level.ERROR, "RCU: " + e.getMessage(), e));
  }

  /**
   * Makes an RCU some of whose readers have their own quiescent states.
   *
   * @param vcpus these readers; {@link RcuVcpus#NONE} if there are none
   * @param timeout how long a wait takes at most, more than zero, at most a day
   * @param errorHandler told of readers that ended in a section, of late grace periods and of tasks
   *     that throw; called from any thread, must not throw
   * @return a new one
   * @throws IllegalArgumentException if the timeout is outside that
   */
  public static Rcu create(
      RcuVcpus vcpus, Duration timeout, Consumer<? super Throwable> errorHandler) {
    if (timeout.isZero() || timeout.isNegative() || timeout.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "timeout " + timeout + " is not more than zero and at most a day");
    }
    return new Rcu(
        Objects.requireNonNull(vcpus, "vcpus"),
        timeout.toNanos(),
        Objects.requireNonNull(errorHandler, "errorHandler"),
        STACKS);
  }

  /** As {@link #create(RcuVcpus, Duration, Consumer)}, with or without stacks of entries. */
  static Rcu create(
      RcuVcpus vcpus, Duration timeout, Consumer<? super Throwable> errorHandler, boolean stacks) {
    return new Rcu(vcpus, timeout.toNanos(), errorHandler, stacks);
  }

  /**
   * Enters a read-side section: an element that is found in it is not reclaimed before {@link
   * #exit}. Sections nest. Wait-free, and allocates nothing, except for a thread's first section.
   * Costs a full fence, but none in a thread that is online as a vCPU of the log.
   */
  public void enter() {
    readers.enter();
  }

  /**
   * Leaves the section that was entered last. After the outermost section, elements that were found
   * in it must not be used any more. Call it in a {@code finally} block. Wait-free, no fence.
   *
   * @throws RcuException if the calling thread is in no section; nothing is changed
   */
  public void exit() {
    if (!readers.exit()) {
      throw new RcuException(
          "exit() without enter(): " + Thread.currentThread() + " is in no read-side section");
    }
  }

  /** {@return whether the calling thread is in a read-side section} */
  public boolean isInSection() {
    return readers.isInSection();
  }

  /**
   * Queues a task to run after a grace period, when every section that is open now has ended. The
   * tasks of one caller run in order. From any thread, in sections and in tasks too; never waits.
   * Only {@link #reclaim}, a {@link #reclaimer} or a {@link #barrier} runs it.
   *
   * @param task what to run, in the thread that reclaims. Its exceptions go to the error handler
   */
  public void callRcu(Runnable task) {
    reclaimer.add(Objects.requireNonNull(task, "task"));
  }

  /**
   * Waits until every section that had begun before the call has ended. A vCPU's thread may call it
   * at a point without a half-done store; the vCPU is offline meanwhile. Two vCPUs that wait at the
   * same time both finish.
   *
   * @throws RcuException if it is called inside a section, a task, or an arm callback, where it
   *     would wait for itself
   * @throws RcuTimeoutException if a reader does not leave, or a vCPU does not reach a safepoint,
   *     in time; a later call may succeed
   */
  public void synchronize() {
    checkMayWait("synchronize()");
    vcpus.waitOffline("a grace period", () -> await(begin()));
  }

  GracePeriod begin() {
    return new GracePeriod(readers, vcpus, timeoutNanos);
  }

  private static void await(GracePeriod gracePeriod) {
    for (int spin = 0; spin < SPINS; spin++) {
      if (gracePeriod.isOver()) {
        return;
      }
      Thread.onSpinWait();
    }
    Backoff backoff = new Backoff();
    while (!gracePeriod.isOver()) {
      if (gracePeriod.isLate()) {
        throw gracePeriod.timeout();
      }
      backoff.idle();
    }
  }

  /**
   * Waits until the tasks that are queued now have run. While no agent of {@link #reclaimer} is
   * started, the calling thread runs them; else it waits for that agent, unless it is the agent's
   * thread itself. What the tasks did is visible after it.
   *
   * @throws RcuException if it is called inside a section, a task, or an arm callback: it would
   *     wait for itself
   * @throws RcuTimeoutException if a reader, a vCPU or the reclaimer keeps it waiting for too long;
   *     the tasks stay queued
   */
  public void barrier() {
    checkMayWait("barrier()");
    // ORDER U7 volatile: what the tasks before did. Pairs with the loop's look. If weaker: the
    // caller does not see it.
    AtomicBoolean done = new AtomicBoolean();
    reclaimer.add(() -> done.set(true));
    Patience patience = new Patience(timeoutNanos);
    Backoff backoff = new Backoff();
    while (!done.get()) {
      int work = reclaimer.isAnothers() ? 0 : reclaimer.work();
      if (work == 0 && !done.get()) {
        if (patience.isOver()) {
          throw reclaimer.timeout(patience.counted());
        }
        vcpus.waitOffline("a barrier", backoff::idle);
      }
    }
  }

  /**
   * Throws if a wait for a grace period would wait for itself here. For callers that have to know
   * this before they begin.
   *
   * @param what what is about to wait, for the message
   * @throws RcuException in a section, in a task, and in an arm callback
   */
  public void checkMayWait(String what) {
    String where =
        readers.isInSection()
            ? "a read-side section"
            : reclaimer.isMine() ? "a task of callRcu" : vcpus.placeThatMustNotWait();
    if (where != null) {
      throw new RcuException(
          what + " inside " + where + " would wait for itself: call callRcu(task) instead");
    }
  }

  /**
   * Does some of the work that is due, and never blocks: begins a grace period, checks whether it
   * is over, and then runs some tasks of {@link #callRcu}. Call it in any loop, also in a vCPU's
   * thread, between its safepoints. If several threads call it, one of them does the work. Inside a
   * tracker's call under the collector lock, and in an arm callback, it does nothing. A grace
   * period that takes longer than the timeout is reported to the error handler, once, and goes on.
   *
   * @return how many tasks it took or ran
   */
  public int reclaim() {
    return reclaimer.work();
  }

  /**
   * Returns an agent whose {@code doWork} is {@link #reclaim}, to be run by an {@code AgentRunner}.
   * While it runs, a {@link #barrier} waits for it and does not run tasks itself. Only this method
   * needs Agrona: to compile a call, to run it, and to list the methods of this class by
   * reflection.
   *
   * @return an agent, which runs the same tasks as any other of this RCU
   */
  @SuppressWarnings("exports") // whoever calls it requires Agrona
  public Agent reclaimer() {
    return RcuAgent.of(reclaimer);
  }

  /**
   * Returns the calling thread's part in this RCU, for a thread that has quiescent states of its
   * own. Allocates at a thread's first call.
   *
   * @return the same each time in one thread
   */
  public RcuReader reader() {
    return readers.own();
  }

  /** Whether the calling thread is not where others wait for it. */
  boolean mayWaitHere() {
    return vcpus.placeThatMustNotWait() == null;
  }

  int readerCount() {
    return readers.length();
  }
}
