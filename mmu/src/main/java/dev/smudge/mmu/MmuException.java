package dev.smudge.mmu;

import dev.smudge.linux.Errno;
import dev.smudge.linux.ErrnoException;

/**
 * The kernel refused a call. The message has the call, its arguments, the error's name and number,
 * and the likely cause. No page counts as clean because of a call that failed.
 */
public final class MmuException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The number of the error. */
  private final int errno;

  /** It was not called: the slot's memory is gone, and another log has memory there. */
  static MmuException displaced(String call, String about) {
    return new MmuException(
        call
            + about
            + " was not called: the memory of the slot was unmapped since it was added, and another"
            + " log's is at its addresses",
        new ErrnoException(call, Errno.EPERM));
  }

  private MmuException(String message, ErrnoException e) {
    super(message, e);
    this.errno = e.errno();
  }

  MmuException(ErrnoException e, String about) {
    super(
        e.call()
            + about
            + ": "
            + Errno.name(e.errno())
            + " ("
            + e.errno()
            + "): "
            + cause(e.call(), e.errno()),
        e);
    this.errno = e.errno();
  }

  private static String cause(String call, int errno) {
    return switch (errno) {
      case Errno.EBUSY -> "another userfaultfd has registered it: that of another log, perhaps";
      case Errno.ENOMEM ->
          call.equals("UFFDIO_REGISTER")
              ? "not mapped any more; or too many mappings in this process, see vm.max_map_count"
              : Errno.meaning(errno);
      case Errno.EPERM, Errno.EFAULT, Errno.EINVAL ->
          "the memory of the slot was unmapped, or mapped anew, since it was added";
      default -> Errno.meaning(errno);
    };
  }

  /** {@return the number of the error} */
  public int errno() {
    return errno;
  }
}
