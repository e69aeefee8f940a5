package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;

/**
 * What an embedder does at two moments of a vCPU: the arm callback, when pages were armed, during
 * which the vCPU cannot leave or wait; and, for one below the API, when nobody waits for it any
 * more.
 */
final class VcpuHooks {
  private final VcpuState vcpu;
  private final Runnable body;
  private Runnable whenAside = () -> {};
  private boolean running; // the vCPU's thread only

  VcpuHooks(VcpuState vcpu, Runnable body) {
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

  boolean isArmCallbackRunning() {
    return running;
  }

  /** If it throws, the next safepoint comes back here. */
  void runArmCallback() {
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
  void checkNotInArmCallback(String what) {
    if (running) {
      throw new VcpuException(
          what
              + " inside the arm callback of vCPU "
              + vcpu.index()
              + " would wait for itself: do it after the safepoint has returned");
    }
  }
}
