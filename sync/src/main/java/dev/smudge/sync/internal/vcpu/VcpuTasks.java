package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Tasks that other threads have a vCPU's thread run at its next safepoint. They are a list of their
 * own links, which nothing is called or allocated to change: it is whole whatever is thrown.
 */
public final class VcpuTasks {
  /** So many may wait for a vCPU that does not run: nothing grows for ever. */
  static final int MOST = 1 << 16;

  private static final class Task {
    final Runnable body;
    final CompletableFuture<@Nullable Void> done = new CompletableFuture<>();
    @Nullable Task next; // under the monitor of the tasks

    Task(Runnable body) {
      this.body = body;
    }
  }

  private final VcpuState vcpu;
  private volatile @Nullable Task first; // written under this
  private @Nullable Task last; // under this, as the next
  private int waiting;

  /** Not where a stack may end in it: a class of the JDK is of no use after that. */
  static void initialize() {
    CompletableFuture<?> done = new CompletableFuture<>();
    done.complete(null);
  }

  VcpuTasks(VcpuState vcpu) {
    this.vcpu = vcpu;
  }

  /**
   * Has the vCPU's thread run a task at its next safepoint, or at once if that is the caller. From
   * any thread.
   *
   * @param body what to run
   * @return done when it has run
   */
  public CompletableFuture<@Nullable Void> submit(Runnable body) {
    Task task = new Task(body);
    if (vcpu.isOnlineHere()) {
      run(task); // the queued ones wait for a safepoint
    } else if (!add(task)) {
      task.done.completeExceptionally(tooMany());
    } else {
      vcpu.request(VcpuState.TASK);
      // After the task is queued: whoever closes says so before it fails what is queued.
      if (vcpu.isGone()) {
        failAll();
      }
    }
    return task.done;
  }

  /** Returns whether there is room for it. */
  private synchronized boolean add(Task task) {
    if (waiting == MOST) {
      return false;
    }
    Task before = last;
    if (before == null) {
      first = task; // S14: before the look at isGone
    } else {
      before.next = task;
    }
    last = task;
    waiting++;
    return true;
  }

  private RuntimeException tooMany() {
    return new VcpuException(
        "vCPU "
            + vcpu.index()
            + " has "
            + MOST
            + " tasks that have not run: it has to call safepoint(), or online(), to run them");
  }

  /**
   * Runs what is queued, for as long as the session goes on: a task may give the vCPU away, and
   * those after it belong to whoever has it then.
   */
  void runIn(long session) {
    boolean done = false;
    try {
      while (vcpu.isSession(session)) {
        Task task = next();
        if (task == null) {
          break;
        }
        run(task);
      }
      done = true;
    } finally {
      if (!done) {
        vcpu.request(VcpuState.TASK); // an error of the VM: the next safepoint runs the others
      }
    }
  }

  /** Fails what has not run, and will not. */
  void failAll() {
    for (Task task = next(); task != null; task = next()) {
      task.done.completeExceptionally(
          new VcpuException(
              "vCPU "
                  + vcpu.index()
                  + " or its log was closed, or its thread died, before the task ran"));
    }
  }

  private static void run(Task task) {
    try {
      task.body.run();
      task.done.complete(null);
    } catch (Throwable e) {
      task.done.completeExceptionally(e);
    }
  }

  private @Nullable Task next() {
    return first == null ? null : poll(); // S14: without a lock where there is none
  }

  /** One consumer at a time: the vCPU's thread, or whoever fails what is left. */
  private synchronized @Nullable Task poll() {
    Task task = first;
    if (task != null) {
      first = task.next;
      if (task.next == null) {
        last = null;
      }
      waiting--;
    }
    return task;
  }
}
