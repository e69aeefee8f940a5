package dev.smudge.core;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** Runs bodies in threads of their own, started together; what one throws comes out. */
final class Threads {
  interface Body {
    void run(int index) throws Exception;
  }

  private Threads() {}

  static FutureTask<Void> start(String name, Body body, int index) {
    FutureTask<Void> task =
        new FutureTask<>(() -> {
          body.run(index);
          return null;
        });
    Thread thread = new Thread(task, name + "-" + index);
    thread.setDaemon(true);
    thread.start();
    return task;
  }

  static void runAll(int count, Body body) {
    CyclicBarrier together = new CyclicBarrier(count);
    List<FutureTask<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      tasks.add(
          start(
              "test",
              index -> {
                together.await();
                body.run(index);
              },
              i));
    }
    joinAll(tasks);
  }

  /** Waits for all; the first failure comes out, with the others suppressed. */
  static void joinAll(List<FutureTask<Void>> tasks) {
    AssertionError failure = null;
    for (FutureTask<Void> task : tasks) {
      try {
        task.get();
      } catch (ExecutionException e) {
        if (failure == null) {
          failure = new AssertionError(e.getCause());
        } else {
          failure.addSuppressed(e.getCause());
        }
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
