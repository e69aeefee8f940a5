package dev.smudge.sync;

import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * A grace period: over when every read-side section that was there when it began has ended. Polled
 * by one thread at a time; never blocks.
 *
 * <p>First every vCPU passes a safepoint, or is offline: a section of its thread that goes on then
 * is published before. Then come the published words of all threads.
 */
final class GracePeriod {
  private final RcuReaders readers;
  private final VcpuGroup group;
  private final long start = System.nanoTime();
  private final long epoch;
  private final VcpuRequest request;
  private int nextVcpu;
  private boolean vcpusPassed;
  private @Nullable RcuReader reader; // the next to look at

  GracePeriod(RcuReaders readers, VcpuGroup group) {
    this.readers = readers;
    this.group = group;
    this.epoch = readers.nextEpoch();
    // U1 full fence: what was unlinked is so before the words and the list of readers are read.
    VarHandle.fullFence();
    this.request = group.request(null);
  }

  boolean isOver() {
    if (!vcpusPassed) {
      if (!haveVcpusPassed()) {
        return false;
      }
      vcpusPassed = true;
      reader = readers.first();
    }
    for (RcuReader next = reader; next != null; next = next.next()) {
      if (!next.isPast(epoch)) {
        if (next.isAlive()) {
          reader = next;
          return false;
        }
        next.leaveDead(group.errorHandler);
      }
    }
    reader = null;
    return true;
  }

  private boolean haveVcpusPassed() {
    for (; nextVcpu < request.vcpus.length; nextVcpu++) {
      LogVcpu vcpu = request.vcpus[nextVcpu];
      if (!vcpu.hasAcknowledged(request.number) && !vcpu.isOffline() && !vcpu.isDead()) {
        return false;
      }
    }
    return true;
  }

  boolean isLate() {
    return System.nanoTime() - start > group.timeoutNanos();
  }

  /** What it waits for. */
  RcuTimeoutException timeout() {
    RcuReader late = reader;
    if (late != null) {
      return late.timeout(System.nanoTime() - start);
    }
    LogVcpu vcpu = request.vcpus[Math.min(nextVcpu, request.vcpus.length - 1)];
    return new RcuTimeoutException(
        vcpu.lateness("let a grace period pass", System.nanoTime() - start),
        LogVcpu.stackOf(vcpu.owner()));
  }
}
