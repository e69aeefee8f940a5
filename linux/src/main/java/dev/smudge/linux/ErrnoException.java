package dev.smudge.linux;

/**
 * Linux refused a call. The message has the call, the error's name and number, and what the error
 * means: {@code open: ENOENT (2): there is no such file or entry}.
 *
 * <p>Modules of Smudge throw it to one another only. Their users cannot name the type, since its
 * package is not exported to them, so each module translates it at the border of its API.
 */
public final class ErrnoException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The call that failed. */
  private final String call;

  /** The error's number. */
  private final int errno;

  /**
   * Makes the exception of a failed call.
   *
   * @param call the call, such as {@code open}, {@code mmap kvm_run} or {@code KVM_CREATE_VM}
   * @param errno the error's number
   */
  public ErrnoException(String call, int errno) {
    super(call + ": " + Errno.name(errno) + " (" + errno + "): " + Errno.meaning(errno));
    this.call = call;
    this.errno = errno;
  }

  /** {@return the call that failed} */
  public String call() {
    return call;
  }

  /** {@return the error's number, one of {@link Errno}'s or another} */
  public int errno() {
    return errno;
  }
}
