package dev.smudge.kvm;

import java.lang.foreign.MemorySegment;

/**
 * A file descriptor of KVM's: one call at a time, none after it is closed. So its number, which the
 * kernel gives to the next file, is never used for another's.
 */
final class Descriptor implements AutoCloseable {
  private final int fd;
  private final String what;
  private final boolean owned;
  private final MemorySegment errno = Libc.newErrno();
  private boolean closed;

  /** Closes it only if owned. */
  Descriptor(int fd, String what, boolean owned) {
    if (fd < 0) {
      throw new IllegalArgumentException("file descriptor " + fd + " is negative");
    }
    this.fd = fd;
    this.what = what;
    this.owned = owned;
  }

  boolean isOwned() {
    return owned;
  }

  static Descriptor open(String path) {
    MemorySegment errno = Libc.newErrno();
    int fd = Libc.open(errno, path, Libc.O_RDWR | Libc.O_CLOEXEC);
    if (fd < 0) {
      throw new KvmException("open", Libc.errno(errno));
    }
    return new Descriptor(fd, path, true);
  }

  /** The number; of a closed one, an error. */
  synchronized int fd() {
    checkOpen();
    return fd;
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException(what + " is closed");
    }
  }

  /** The result of a call, 0 or more. */
  synchronized int ioctl(String call, long request, long argument) {
    return checked(call, tryIoctl(request, argument));
  }

  /** The result of a call, or its errno, negative. */
  synchronized int tryIoctl(long request, long argument) {
    checkOpen();
    int result = Libc.ioctl(errno, fd, request, argument);
    return result < 0 ? -Libc.errno(errno) : result;
  }

  /** As the other, with a record, and a segment whose address is in the record, or NULL. */
  synchronized int ioctl(String call, long request, MemorySegment argument, MemorySegment kept) {
    checkOpen();
    int result = Libc.ioctl(errno, fd, request, argument, kept);
    return checked(call, result < 0 ? -Libc.errno(errno) : result);
  }

  private static int checked(String call, int result) {
    if (result < 0) {
      throw new KvmException(call, -result);
    }
    return result;
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      if (owned) {
        Libc.close(fd);
      }
    }
  }

  @Override
  public String toString() {
    return what + " (fd " + fd + ")";
  }
}
