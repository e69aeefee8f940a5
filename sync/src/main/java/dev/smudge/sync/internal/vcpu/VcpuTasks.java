package dev.smudge.sync.internal.vcpu;

import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import org.jctools.queues.varhandle.MpscLinkedVarHandleQueue;
import org.jspecify.annotations.Nullable;

/** Tasks that other threads have a vCPU's thread run at its next safepoint. */
final class VcpuTasks {
  private record Task(Runnable body, CompletableFuture<@Nullable Void> done) {}

  private final Queue<Task> queue = new MpscLinkedVarHandleQueue<>();

  CompletableFuture<@Nullable Void> add(Runnable body) {
    Task task = new Task(body, new CompletableFuture<>());
    queue.offer(task);
    return task.done;
  }

  /** Runs one task at once, in the vCPU's own thread; the queued ones wait for a safepoint. */
  static CompletableFuture<@Nullable Void> runNow(Runnable body) {
    Task task = new Task(body, new CompletableFuture<>());
    run(task);
    return task.done;
  }

  void runAll() {
    for (Task task = next(); task != null; task = next()) {
      run(task);
    }
  }

  void failAll(RuntimeException error) {
    for (Task task = next(); task != null; task = next()) {
      task.done.completeExceptionally(error);
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

  /** One consumer at a time: the vCPU's thread, or whoever fails what is left. */
  private synchronized @Nullable Task next() {
    return queue.poll();
  }
}
