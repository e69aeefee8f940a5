package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.rcu.RcuVcpus;

/**
 * An acknowledgement that was asked of the vCPUs of that moment. Polled by one thread at a time.
 */
final class VcpuRequest implements RcuVcpus.Quiescence {
  final long number;
  final VcpuState[] vcpus;
  private int next; // those before it have acknowledged

  VcpuRequest(long number, VcpuState[] vcpus) {
    this.number = number;
    this.vcpus = vcpus;
  }

  @Override
  public boolean isReached() {
    for (; next < vcpus.length; next++) {
      VcpuState vcpu = vcpus[next];
      if (!vcpu.hasAcknowledged(number) && !vcpu.isOffline() && !vcpu.isDead()) {
        return false;
      }
    }
    return true;
  }

  @Override
  public Throwable late(long nanos) {
    VcpuState vcpu = vcpus[Math.min(next, vcpus.length - 1)];
    Throwable late = new Throwable(lateness(vcpu, "let a grace period pass", nanos));
    Thread thread = vcpu.owner();
    late.setStackTrace(thread == null ? new StackTraceElement[0] : thread.getStackTrace());
    return late;
  }

  /** What is said of a vCPU that did not answer within {@code nanos}. */
  static String lateness(VcpuState vcpu, String what, long nanos) {
    return "vCPU "
        + vcpu.index()
        + " ("
        + vcpu.owner()
        + ") did not "
        + what
        + " within "
        + nanos / 1_000_000
        + " ms: it has to call safepoint(), or offline() around what blocks it; its stack is the"
        + " cause";
  }
}
