package dev.smudge.sync;

/**
 * A vCPU did not reach a safepoint in time. The message names it; the cause carries the stack of
 * its thread at that moment.
 */
public final class VcpuTimeoutException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  VcpuTimeoutException(String message, Throwable stackOfTheVcpu) {
    super(message, stackOfTheVcpu);
  }
}
