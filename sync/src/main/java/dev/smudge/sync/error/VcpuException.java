package dev.smudge.sync.error;

/** A vCPU handle was used in a way, or by a thread, that it does not allow; or its thread died. */
public final class VcpuException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  /**
   * Makes the exception.
   *
   * @param message which vCPU, which thread, and what to do
   */
  public VcpuException(String message) {
    super(message);
  }
}
