package dev.smudge.sync;

/** An acknowledgement that was asked of vCPUs. */
final class VcpuRequest {
  final long number;
  final LogVcpu[] vcpus;

  VcpuRequest(long number, LogVcpu[] vcpus) {
    this.number = number;
    this.vcpus = vcpus;
  }
}
