package dev.smudge.sync;

import dev.smudge.sync.internal.vcpu.VcpuState;

/** What is behind vCPUs, for tests in other packages. */
public final class VcpuStates {
  private VcpuStates() {}

  /** The state of a vCPU. */
  public static VcpuState of(LogVcpu vcpu) {
    return vcpu.state();
  }
}
