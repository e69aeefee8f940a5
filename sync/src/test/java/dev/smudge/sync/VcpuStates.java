package dev.smudge.sync;

/** What is behind vCPUs, for tests in other packages. */
public final class VcpuStates {
  private VcpuStates() {}

  /** Whether nobody waits for it. */
  public static boolean isOffline(LogVcpu vcpu) {
    return vcpu.state().isOffline();
  }

  /** Whether its thread has ended while it was online. */
  public static boolean isDead(LogVcpu vcpu) {
    return vcpu.state().isDead();
  }
}
