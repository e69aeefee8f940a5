package dev.smudge.kvm;

/** The kernel refused a call: says which, with which errno, and what the likely cause is. */
public final class KvmException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The call. */
  private final String call;

  /** The number of the error. */
  private final int errno;

  KvmException(String call, int errno) {
    this(call, "", errno);
  }

  private KvmException(String call, String arguments, int errno) {
    super(
        call
            + arguments
            + ": "
            + Errno.name(errno)
            + " ("
            + errno
            + "): "
            + Errno.likelyCause(call, errno));
    this.call = call;
    this.errno = errno;
  }

  /** The same, with what was asked for. */
  KvmException of(String arguments) {
    KvmException more = new KvmException(call, " of " + arguments, errno);
    more.setStackTrace(getStackTrace());
    return more;
  }

  /** {@return the call, such as {@code KVM_CREATE_VM}, {@code mmap kvm_run}, {@code open}} */
  public String call() {
    return call;
  }

  /** {@return the number of the error} */
  public int errno() {
    return errno;
  }

  /** {@return the name of the error, such as {@code EACCES}} */
  public String errnoName() {
    return Errno.name(errno);
  }
}
