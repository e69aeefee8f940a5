package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;

/**
 * What the embedder does when pages were armed. While it runs, the vCPU cannot leave or wait. And
 * what an embedder below the API does when the vCPU stops being waited for.
 */
final class ArmCallback {
  private final VcpuState vcpu;
  private final Runnable body;
  private Runnable whenAside = () -> {};
  private boolean running; // the vCPU's thread only

  ArmCallback(VcpuState vcpu, Runnable body) {
    this.vcpu = vcpu;
    this.body = body;
  }

  /** Sets what drops all that lets the vCPU write without coming online. Before it is used. */
  void whenAside(Runnable drop) {
    whenAside = drop;
  }

  /**
   * Nobody waits for the vCPU from here on, so its next access has to bring it online. Before that,
   * by its thread; or after its thread has died. If this throws, it is online still.
   */
  void setAside() {
    whenAside.run();
  }

  boolean isRunning() {
    return running;
  }

  /** If it throws, the next safepoint comes back here. */
  void run() {
    running = true;
    boolean ran = false;
    try {
      body.run();
      ran = true;
    } finally {
      running = false;
      if (!ran) {
        vcpu.request(VcpuState.BARRIER); // not acknowledged: the next safepoint tries again
      }
    }
  }

  /** Refuses what would wait for the end of this very callback. */
  void checkNotInside(String what) {
    if (running) {
      throw new VcpuException(
          what
              + " inside the arm callback of vCPU "
              + vcpu.index()
              + " would wait for itself: do it after the safepoint has returned");
    }
  }
}
