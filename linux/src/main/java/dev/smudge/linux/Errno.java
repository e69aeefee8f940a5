package dev.smudge.linux;

/**
 * The error numbers of Linux that Smudge names.
 *
 * <p>Source: Linux include/uapi/asm-generic/errno-base.h and errno.h.
 */
public final class Errno {
  /** Not allowed. */
  public static final int EPERM = 1;

  /** There is no such file or entry. */
  public static final int ENOENT = 2;

  /** A signal came. */
  public static final int EINTR = 4;

  /** Input or output failed. */
  public static final int EIO = 5;

  /** There is no such device or address. */
  public static final int ENXIO = 6;

  /** An argument is too large. */
  public static final int E2BIG = 7;

  /** The file descriptor is closed, or is not open for this. */
  public static final int EBADF = 9;

  /** Not possible now, but perhaps later. */
  public static final int EAGAIN = 11;

  /** No memory left in the kernel. */
  public static final int ENOMEM = 12;

  /** No permission. */
  public static final int EACCES = 13;

  /** An address outside the memory of this process. */
  public static final int EFAULT = 14;

  /** In use by somebody else. */
  public static final int EBUSY = 16;

  /** It exists already. */
  public static final int EEXIST = 17;

  /** There is no such device, or the file cannot be mapped. */
  public static final int ENODEV = 19;

  /** An argument is outside what is allowed. */
  public static final int EINVAL = 22;

  /** The machine has too many files open. */
  public static final int ENFILE = 23;

  /** This process has too many files open. */
  public static final int EMFILE = 24;

  /** The file descriptor is not of that kind, or the kernel lacks the call. */
  public static final int ENOTTY = 25;

  /** The kernel lacks the call. */
  public static final int ENOSYS = 38;

  /** The file does not support the operation. */
  public static final int EOPNOTSUPP = 95;

  private Errno() {}

  /**
   * Returns the name of an error.
   *
   * @param errno number of the error
   * @return its name, such as {@code ENOENT}; {@code errno} and the number if it is none of the
   *     above
   */
  public static String name(int errno) {
    return switch (errno) {
      case EPERM -> "EPERM";
      case ENOENT -> "ENOENT";
      case EINTR -> "EINTR";
      case EIO -> "EIO";
      case ENXIO -> "ENXIO";
      case E2BIG -> "E2BIG";
      case EBADF -> "EBADF";
      case EAGAIN -> "EAGAIN";
      case ENOMEM -> "ENOMEM";
      case EACCES -> "EACCES";
      case EFAULT -> "EFAULT";
      case EBUSY -> "EBUSY";
      case EEXIST -> "EEXIST";
      case ENODEV -> "ENODEV";
      case EINVAL -> "EINVAL";
      case ENFILE -> "ENFILE";
      case EMFILE -> "EMFILE";
      case ENOTTY -> "ENOTTY";
      case ENOSYS -> "ENOSYS";
      case EOPNOTSUPP -> "EOPNOTSUPP";
      default -> "errno " + errno;
    };
  }

  /**
   * Returns what an error means, whichever call it comes from.
   *
   * @param errno number of the error
   * @return its meaning in a few words; {@code no known cause} if it is none of the above
   */
  public static String meaning(int errno) {
    return switch (errno) {
      case EPERM -> "not allowed";
      case ENOENT -> "there is no such file or entry";
      case EINTR -> "a signal came";
      case EIO -> "input or output failed";
      case ENXIO -> "there is no such device or address";
      case E2BIG -> "an argument is too large";
      case EBADF -> "the file descriptor is closed, or is not open for this";
      case EAGAIN -> "not possible now, but perhaps later";
      case ENOMEM -> "no memory left in the kernel";
      case EACCES -> "no permission";
      case EFAULT -> "an address outside the memory of this process";
      case EBUSY -> "in use by somebody else";
      case EEXIST -> "it exists already";
      case ENODEV -> "there is no such device, or the file cannot be mapped";
      case EINVAL -> "an argument is outside what is allowed";
      case ENFILE -> "the machine has too many files open";
      case EMFILE -> "this process has too many files open";
      case ENOTTY -> "the file descriptor is not of that kind, or the kernel lacks the call";
      case ENOSYS -> "the kernel lacks the call";
      case EOPNOTSUPP -> "the file does not support the operation";
      default -> "no known cause";
    };
  }
}
