package dev.smudge.sync;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.agrona.concurrent.Agent;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.agrona.concurrent.IdleStrategy;
import org.jspecify.annotations.Nullable;

/**
 * Read-copy-update: what readers may still look at is reclaimed after a grace period.
 *
 * <p>A reader calls {@link #enter}, reads, and calls {@link #exit}. An updater unlinks an element,
 * so that no new reader finds it, and then has it reclaimed by a task ({@link #callRcu}), or waits
 * itself ({@link #synchronize}): until every section has ended that was there before. What is read
 * must be published and read with release and acquire, or stronger.
 *
 * <p>How it works. A section publishes the epoch at which it began. A grace period begins a new
 * epoch, and waits for those of older ones. A thread that is online as a vCPU of the log publishes
 * nothing and has no fence: a grace period waits until it has passed a safepoint or is offline, and
 * there a section that goes on is published after all. Source: design 3.7; liburcu (memb, qsbr).
 *
 * <p>So such a thread needs no section, and then pays nothing, for what it finds while it is online
 * and drops before its next {@link LogVcpu#safepoint}, and before it goes offline: by {@link
 * LogVcpu#offline}, or in a call that waits, such as a barrier, a pause, a lock of the log, or
 * {@link #synchronize}. What it keeps over one of those may have been reclaimed; for that it enters
 * a section. The waits here do not know of it, and do not throw.
 *
 * <p>Threads: any, virtual ones too; none is registered by hand. A section belongs to the thread
 * that entered it. No wait for a reader holds a lock.
 */
public final class Rcu {
  private static final System.Logger LOGGER = System.getLogger(Rcu.class.getName());
  private static final boolean STACKS = Boolean.getBoolean("dev.smudge.rcu.stacks");
  private static final int SPINS = 200;

  private final VcpuGroup group;
  private final RcuReaders readers;
  private final RcuReclaimer reclaimer;

  Rcu(VcpuGroup group) {
    this(group, STACKS);
  }

  Rcu(VcpuGroup group, boolean stacks) {
    this.group = group;
    this.readers = new RcuReaders(group.errorHandler, stacks);
    this.reclaimer = new RcuReclaimer(this, group.errorHandler);
  }

  /**
   * Returns one without vCPUs, whose waits fail after 10 seconds, and whose errors go to the system
   * logger {@code dev.smudge.sync.Rcu}. One that knows the vCPUs of a log: {@link DirtyLog#rcu}.
   *
   * @return a new one
   */
  public static Rcu create() {
    return new Rcu(
        new VcpuGroup(
            true,
            Duration.ofSeconds(10).toNanos(),
            e -> LOGGER.log(System.Logger.Level.ERROR, "RCU: " + e.getMessage(), e)));
  }

  /**
   * Enters a read-side section: what is found in it is not reclaimed before {@link #exit}. Sections
   * nest. Wait-free, but for a thread's first; allocates nothing after that. A full fence, and none
   * in a thread that is online as a vCPU of the log.
   */
  public void enter() {
    readers.enter();
  }

  /**
   * Leaves the section that was entered last; with the outermost, what was found in it must not be
   * used any more. Call it in a {@code finally} block. Wait-free, no fence.
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
   * Has a task run after a grace period: when every section has ended that there is now. The tasks
   * of one caller run in its order. From any thread, in sections and in tasks too; never waits.
   * Nothing runs it unless {@link #reclaimer} does, or a {@link #barrier}.
   *
   * @param task what to run; in the thread of the reclaimer. What it throws goes to the error
   *     handler
   */
  public void callRcu(Runnable task) {
    reclaimer.add(Objects.requireNonNull(task, "task"));
  }

  /**
   * Waits until every section has ended that there is now. A vCPU may call it where it holds no
   * half-done store: it is offline meanwhile. Two vCPUs that wait at the same time both finish.
   *
   * @throws RcuException if it is called inside a section, a task, or an arm callback: it would
   *     wait for itself
   * @throws RcuTimeoutException if a reader does not leave, or a vCPU does not reach a safepoint,
   *     in time; a later call may succeed
   */
  public void synchronize() {
    LogVcpu self = checkMayWait("synchronize()");
    if (self == null) {
      await(begin());
      return;
    }
    self.leaveToWait("a grace period");
    try {
      await(begin());
    } finally {
      self.returnFromWait();
    }
  }

  GracePeriod begin() {
    return new GracePeriod(readers, group);
  }

  private static void await(GracePeriod gracePeriod) {
    for (int spin = 0; spin < SPINS; spin++) {
      if (gracePeriod.isOver()) {
        return;
      }
      Thread.onSpinWait();
    }
    IdleStrategy idle = newIdle();
    while (!gracePeriod.isOver()) {
      if (gracePeriod.isLate()) {
        throw gracePeriod.timeout();
      }
      idle.idle();
    }
  }

  private static IdleStrategy newIdle() {
    return new BackoffIdleStrategy(
        0, 20, TimeUnit.MICROSECONDS.toNanos(1), TimeUnit.MICROSECONDS.toNanos(200));
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
    long start = System.nanoTime();
    IdleStrategy idle = newIdle();
    while (!done.get()) {
      int work = reclaimer.isAnothers() ? 0 : reclaimer.work();
      if (work == 0 && !done.get()) {
        long waited = System.nanoTime() - start;
        if (waited > group.timeoutNanos()) {
          throw reclaimer.timeout(waited);
        }
        idleOffline(idle);
      }
    }
  }

  /** Idles once; a vCPU is offline meanwhile. Not while it runs tasks: those may use it. */
  private void idleOffline(IdleStrategy idle) {
    LogVcpu self = group.self();
    if (self == null) {
      idle.idle();
      return;
    }
    self.leaveToWait("a barrier");
    try {
      idle.idle();
    } finally {
      self.returnFromWait();
    }
  }

  /** Returns the caller's vCPU, if it is one. */
  @Nullable LogVcpu checkMayWait(String what) {
    String where = null;
    LogVcpu self = group.self();
    if (readers.isInSection()) {
      where = "a read-side section";
    } else if (reclaimer.isMine()) {
      where = "a task of callRcu";
    } else if (self != null && self.isInArmCallback()) {
      where = "the arm callback of vCPU " + self.index();
    }
    if (where != null) {
      throw new RcuException(
          what + " inside " + where + " would wait for itself: call callRcu(task) instead");
    }
    return self;
  }

  /**
   * Returns what runs the tasks. Its {@code doWork} never blocks: it begins a grace period, looks
   * whether it is over, and then runs some tasks. The embedder runs it with an {@code AgentRunner},
   * or calls {@code doWork} in a loop of its own, also in a vCPU's thread, between its safepoints.
   * If several threads do, one has the turn. A grace period that takes longer than the timeout is
   * reported to the error handler, once, and goes on.
   *
   * @return the reclaimer, the same each time; {@code doWork} returns how many tasks it took or ran
   */
  public Agent reclaimer() {
    return reclaimer;
  }

  RcuReaders readers() {
    return readers;
  }
}
