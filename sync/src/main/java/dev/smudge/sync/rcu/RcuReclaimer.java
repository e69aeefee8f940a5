package dev.smudge.sync.rcu;

import dev.smudge.sync.internal.stack.StackRoom;
import java.util.ArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jctools.queues.varhandle.MpscLinkedVarHandleQueue;
import org.jspecify.annotations.Nullable;

/**
 * Runs the tasks of {@link Rcu#callRcu}: takes what is queued, begins a grace period, and when that
 * is over runs them. One thread at a time has the turn; one that does not get it goes away.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
final class RcuReclaimer {
  private static final int LARGEST_BATCH = 1 << 16;
  private static final int MOST_AT_ONCE = 1024; // the embedder's loop wants to go on

  private final Rcu rcu;
  private final Consumer<? super Throwable> errorHandler;
  private final MpscLinkedVarHandleQueue<Runnable> queue = new MpscLinkedVarHandleQueue<>();
  private final AtomicReference<@Nullable Thread> turn = new AtomicReference<>();
  private volatile @Nullable Thread home; // runs the agent, between onStart and onClose

  // Of the turn.
  private @Nullable Runnable taken; // out of the queue, and not in the batch yet
  private final ArrayList<@Nullable Runnable> batch = new ArrayList<>();
  private int next; // of the batch
  private @Nullable GracePeriod gracePeriod; // of the batch
  private boolean reported;

  RcuReclaimer(Rcu rcu, Consumer<? super Throwable> errorHandler) {
    this.rcu = rcu;
    this.errorHandler = errorHandler;
  }

  void add(Runnable task) {
    StackRoom.check(); // where it ends between the two stores of a producer, no later task is found
    queue.offer(task);
  }

  /** An agent's thread begins. */
  void startInThisThread() {
    home = Thread.currentThread();
  }

  /** The agent has ended. */
  void end() {
    home = null;
  }

  /**
   * As {@link #work}, for an agent, whose thread is the one that runs the tasks if it has begun.
   */
  int workOfAgent() {
    if (home != null && home != Thread.currentThread()) {
      home = Thread.currentThread();
    }
    return work();
  }

  /** Whether an agent that was started in another, living thread runs the tasks. */
  boolean isAnothers() {
    Thread thread = home;
    return thread != null && thread != Thread.currentThread() && thread.isAlive();
  }

  /** Whether the calling thread is running a task. */
  boolean isMine() {
    return turn.get() == Thread.currentThread();
  }

  int work() {
    if (!rcu.mayWaitHere()) {
      return 0; // under a lock, perhaps, in the middle of what the tasks change
    }
    // ORDER U6 volatile: the turn, with the batch and the grace period that the last one left.
    // Pairs with turn = null below. If weaker: a task runs twice, or never.
    if (turn.get() != null || !turn.compareAndSet(null, Thread.currentThread())) {
      return 0;
    }
    try {
      return take() + run();
    } finally {
      turn.set(null); // U6
    }
  }

  private int take() {
    if (gracePeriod != null) {
      return 0;
    }
    StackRoom.check();
    while (batch.size() < LARGEST_BATCH) {
      if (taken == null) {
        taken = queue.relaxedPoll(); // a producer that is half-way hides what comes after it
      }
      if (taken == null) {
        break;
      }
      batch.add(taken); // may find no memory: then it is there at the next turn
      taken = null;
    }
    if (!batch.isEmpty()) {
      gracePeriod = rcu.begin();
      reported = false;
    }
    return batch.size();
  }

  private int run() {
    GracePeriod current = gracePeriod;
    if (current == null) {
      return 0;
    }
    if (!current.isOver()) {
      if (!reported && current.isLate()) {
        reported = true;
        errorHandler.accept(current.timeout());
      }
      return 0;
    }
    int done = 0;
    for (; done < MOST_AT_ONCE && next < batch.size(); done++) {
      StackRoom.check(); // before the task counts as run
      Runnable task = batch.set(next, null);
      next++;
      try {
        if (task != null) {
          task.run();
        }
      } catch (Throwable e) {
        errorHandler.accept(e);
      }
    }
    if (next == batch.size()) {
      batch.clear();
      next = 0;
      gracePeriod = null;
    }
    return done;
  }

  /** What a barrier has waited for in vain. */
  RcuTimeoutException timeout(long nanos) {
    for (int i = 0; i < 1000; i++) {
      if (turn.compareAndSet(null, Thread.currentThread())) { // U6
        try {
          GracePeriod current = gracePeriod;
          if (current != null && !current.isOver()) {
            return current.timeout();
          }
          break;
        } finally {
          turn.set(null); // U6
        }
      }
      Thread.onSpinWait();
    }
    Thread busy = turn.get();
    Thread thread = busy == null ? home : busy;
    return new RcuTimeoutException(
        "the tasks queued so far have not run within "
            + nanos / 1_000_000
            + " ms: "
            + (busy == null ? "the reclaimer's loop in " : "a task runs in ")
            + thread
            + "; its stack is the cause",
        RcuReader.stackOf(thread));
  }
}
