package dev.smudge.core;

import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** A thread that runs a vCPU: it does nothing but pass safepoints, and what it is asked to do. */
final class GuestThread implements AutoCloseable {
  private final Vcpu vcpu;
  private final FutureTask<Void> thread;
  private volatile boolean stop;

  GuestThread(Vcpu vcpu) {
    this.vcpu = vcpu;
    this.thread =
        Threads.start(
            "guest",
            index -> {
              vcpu.online();
              while (!stop) {
                vcpu.safepoint();
                Thread.onSpinWait();
              }
              vcpu.offline();
            },
            vcpu.index());
  }

  /** Runs a task on the vCPU's thread, at a safepoint, and returns what it threw, if anything. */
  void run(Runnable task) throws Throwable {
    try {
      vcpu.runOnVcpu(task).get();
    } catch (ExecutionException e) {
      throw e.getCause() == null ? e : e.getCause();
    }
  }

  @Override
  public void close() {
    stop = true;
    Threads.joinAll(List.of(thread));
  }
}
