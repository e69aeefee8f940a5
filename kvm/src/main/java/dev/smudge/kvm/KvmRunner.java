package dev.smudge.kvm;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.inhibitor.AccessInhibitor;
import dev.smudge.sync.inhibitor.InhibitableAccess;

/**
 * Runs a KVM vCPU, and lets it take part in slot changes, pauses and full rings. Made by {@link
 * KvmTracker#addVcpu}.
 *
 * <p>Each {@code KVM_RUN} is an access of an {@link AccessInhibitor}: a change that removes slots,
 * and {@link DirtyLog#pause}, kick the vCPU out of the guest, and it waits before the next one. If
 * the vCPU's ring is full, its own thread empties it, outside the access, and the guest goes on.
 *
 * <p>For one thread at a time: the first that calls {@link #run} and, after that thread has ended,
 * the next. Any thread may call {@link #kick}.
 */
public final class KvmRunner implements AutoCloseable {
  private final KvmVcpu vcpu;
  private final DirtyLog log;
  private final InhibitableAccess access;
  private final Object lock = new Object();
  private volatile boolean closed;
  private boolean kicked; // by the embedder; under lock, as fullExits
  private long fullExits;

  KvmRunner(KvmVcpu vcpu, DirtyLog log, AccessInhibitor inhibitor) {
    this.vcpu = vcpu;
    this.log = log;
    this.access = inhibitor.addAccess(vcpu::kickIfOpen);
  }

  /** {@return the vCPU; to be run by this alone} */
  public KvmVcpu vcpu() {
    return vcpu;
  }

  /**
   * Runs the guest until an exit that the embedder has to handle. Waits while slots are changed and
   * while the log is paused. When the embedder handles the exit, it writes guest memory as a
   * device.
   *
   * @return as {@link KvmVcpu#run}, but never {@link RunLayout#EXIT_DIRTY_RING_FULL}, which is
   *     handled here, and {@link RunLayout#EXIT_INTR} only after {@link #kick}
   * @throws SealedException if the log is sealed; the guest has not run
   * @throws dev.smudge.sync.error.VcpuException if the runner is closed, or another thread's; if
   *     this thread holds a pause; or if another does, and the log is closed, before or while this
   *     waits for the end of that pause: the guest does not run in it
   * @throws KvmException if the kernel refuses
   * @throws IllegalStateException if the vCPU is closed
   */
  public int run() {
    while (true) {
      int reason = runOnce();
      if (reason == RunLayout.EXIT_DIRTY_RING_FULL) {
        synchronized (lock) {
          fullExits++;
        }
        emptyRings();
      } else if (reason != RunLayout.EXIT_INTR || takeKick()) {
        return reason;
      }
    }
  }

  private int runOnce() {
    access.enter();
    try {
      // A log that is sealed was paused: this comes after the seal, or the seal waits for it.
      if (log.isSealed()) {
        throw new SealedException("a run of " + vcpu + " came after seal()");
      }
      // No look at immediate_exit here: a kick between enter and KVM_RUN has to end it. KvmVcpu
      // clears it after KVM_RUN has seen it; one that comes late ends the next run, which goes on.
      return vcpu.run(this);
    } finally {
      access.leave();
    }
  }

  private void emptyRings() {
    try {
      log.sync();
    } catch (IllegalStateException e) {
      // The log is closed, or about to be: it empties the rings. If it is the vCPU, or the VM, the
      // next run says so.
      Thread.onSpinWait();
    }
  }

  private boolean takeKick() {
    synchronized (lock) {
      boolean taken = kicked;
      kicked = false;
      return taken;
    }
  }

  /** {@return how often the guest was stopped because its ring was full} */
  public long fullExits() {
    synchronized (lock) {
      return fullExits;
    }
  }

  /**
   * Ends the run that is under way, or else the next one: {@link #run} returns {@link
   * RunLayout#EXIT_INTR}, unless the guest exits for another reason first. Does not wait. From any
   * thread.
   *
   * @throws IllegalStateException if the vCPU is closed
   */
  public void kick() {
    synchronized (lock) {
      kicked = true; // before the exit that it is the reason of
    }
    vcpu.kick();
  }

  /**
   * Ends the runner but not its vCPU, for which another runner can be made. Pages that the guest
   * has written are collected as before. Called by the thread that ran it, or by any thread after
   * that one has ended.
   *
   * @throws dev.smudge.sync.error.VcpuException if another, living thread runs it; it stays as it
   *     is
   */
  @Override
  public void close() {
    access.close();
    // ORDER K1 volatile: after the access is closed. Pairs with isClosed, in KvmVcpu. If
    // weaker: the vCPU gets a runner while this one can enter still.
    closed = true;
  }

  /** Whether its vCPU can have another. */
  boolean isClosed() {
    return closed; // K1
  }

  @Override
  public String toString() {
    return "KvmRunner[" + vcpu + ", " + access + "]";
  }
}
