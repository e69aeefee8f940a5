package dev.smudge.sync;

/**
 * What a vCPU does at its safepoint when its dirty ring is soft full: no more entries than the
 * reserve are free. Source: docs/design.md 3.5; KVM_EXIT_DIRTY_RING_FULL.
 */
@FunctionalInterface
public interface RingFullPolicy {
  /**
   * Wait, offline, until a reset has given entries back: the guest writes no faster than its pages
   * are collected. A client that takes again and again, or a reaper, has to collect. If a vCPU
   * waits for longer than the log's timeout, the error handler is told, once per wait. The wait
   * also ends when the last client is closed, and when the thread is interrupted: it stays
   * interrupted, and the vCPU runs on as with {@link #SPILL}.
   */
  RingFullPolicy WAIT = LogVcpu::awaitRoom;

  /** Run on. Beyond the reserve, pages go to the bitmap of their slot. */
  RingFullPolicy SPILL = vcpu -> {};

  /**
   * Called by the vCPU's own thread, online, inside a safepoint, where it has no half-done store.
   * It may collect ({@link DirtyLog#sync}, or a client's take). If the ring is still soft full when
   * this returns, the vCPU runs on nonetheless, and this is called again after the next page. The
   * same holds if it throws; the exception comes out of the safepoint. It may take the vCPU
   * offline, close it, or hand it to another thread.
   *
   * @param vcpu the vCPU whose ring is soft full
   */
  void ringFull(LogVcpu vcpu);
}
