package dev.smudge.kvm;

import dev.smudge.linux.Errno;
import dev.smudge.linux.ErrnoException;

/**
 * The kernel refused a call. The message has the call, its arguments, the error's name and number,
 * and the likely cause.
 */
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
            + LikelyCause.of(call, errno));
    this.call = call;
    this.errno = errno;
  }

  /** Translates what the calls to Linux throw, with the same stack trace. */
  static KvmException of(ErrnoException e) {
    KvmException translated = new KvmException(e.call(), e.errno());
    translated.setStackTrace(e.getStackTrace());
    return translated;
  }

  /** The same, with what was asked for in the message. */
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
