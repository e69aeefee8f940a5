package dev.smudge.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A file descriptor whose number is never used after {@link #close}. The kernel gives a closed
 * number to the next file that is opened, so a late call would reach somebody else's file.
 *
 * <p>Any thread may call the methods. One call runs at a time, the others wait for the object's
 * lock: a close therefore waits until a call that is under way has returned, and no call begins
 * after it. A blocking call has to be ended by other means first ({@link KickSignal}).
 *
 * <p>Calls allocate nothing, except {@link #open} and {@link #map}.
 */
public final class Descriptor implements AutoCloseable {
  private final int fd;
  private final String what;
  private final boolean owned;
  private final MemorySegment errno = Libc.newErrno();
  private @Nullable SignalMask mask; // made by the first call that needs it
  private boolean closed;

  private Descriptor(int fd, String what, boolean owned) {
    if (fd < 0) {
      throw new IllegalArgumentException("file descriptor " + fd + " is negative");
    }
    this.fd = fd;
    this.what = what;
    this.owned = owned;
  }

  /**
   * Opens a file for reading and writing. Child processes do not inherit it.
   *
   * @param path path of the file
   * @return its descriptor, which {@link #close} closes
   * @throws ErrnoException if the file cannot be opened
   */
  public static Descriptor open(String path) {
    return open(path, Libc.O_RDWR);
  }

  /**
   * As {@link #open}, for reading alone.
   *
   * @param path path of the file
   * @return its descriptor, which {@link #close} closes
   * @throws ErrnoException if the file cannot be opened
   */
  public static Descriptor openToRead(String path) {
    return open(path, Libc.O_RDONLY);
  }

  private static Descriptor open(String path, int flags) {
    MemorySegment errno = Libc.newErrno();
    int fd = Libc.open(errno, path, flags | Libc.O_CLOEXEC);
    if (fd < 0) {
      throw new ErrnoException("open", Libc.errno(errno));
    }
    return owned(fd, path);
  }

  /**
   * Makes a system call that returns a new file descriptor, and that the C library has no function
   * for.
   *
   * @param call name of the call, for messages
   * @param number its number, which differs from architecture to architecture
   * @param flags its argument
   * @return the descriptor, which {@link #close} closes
   * @throws ErrnoException if the kernel refuses
   */
  public static Descriptor ofSystemCall(String call, long number, int flags) {
    MemorySegment errno = Libc.newErrno();
    long fd = Libc.systemCall(errno, number, flags);
    if (fd < 0) {
      throw new ErrnoException(call, Libc.errno(errno));
    }
    return owned((int) fd, call);
  }

  /**
   * Takes a file descriptor over. From now on only this object closes it. If memory or stack runs
   * out here, the file descriptor is closed.
   *
   * @param fd number of the file descriptor
   * @param what what it is, for messages
   * @return the descriptor, which {@link #close} closes
   * @throws IllegalArgumentException if {@code fd} is negative
   */
  public static Descriptor owned(int fd, String what) {
    try {
      return new Descriptor(fd, what, true);
    } catch (Error e) {
      Libc.close(fd);
      throw e;
    }
  }

  /**
   * Uses a file descriptor of the caller's, who closes it after this object.
   *
   * @param fd number of the file descriptor
   * @param what what it is, for messages
   * @return the descriptor, which {@link #close} does not close
   * @throws IllegalArgumentException if {@code fd} is negative
   */
  public static Descriptor borrowed(int fd, String what) {
    return new Descriptor(fd, what, false);
  }

  /** {@return whether {@link #close} closes the file descriptor} */
  public boolean isOwned() {
    return owned;
  }

  /**
   * Returns the number, for calls that are not here. The caller has to keep this object open while
   * it uses the number.
   *
   * @return the number of the file descriptor
   * @throws IllegalStateException if this is closed
   */
  public synchronized int fd() {
    checkOpen();
    return fd;
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException(what + " is closed");
    }
  }

  /**
   * Makes an ioctl whose argument is a number.
   *
   * @param call name of the call, for messages
   * @param request number of the request, {@link IoctlNumber}
   * @param argument its argument
   * @return the result, 0 or more
   * @throws ErrnoException if the kernel refuses
   * @throws IllegalStateException if this is closed
   */
  public synchronized int ioctl(String call, long request, long argument) {
    return checked(call, tryIoctl(request, argument));
  }

  /**
   * Makes an ioctl that often fails, and leaves the error to the caller.
   *
   * @param request number of the request, {@link IoctlNumber}
   * @param argument its argument
   * @return the result, 0 or more; or the error's number, negated
   * @throws IllegalStateException if this is closed
   */
  public synchronized int tryIoctl(long request, long argument) {
    checkOpen();
    int result = Libc.ioctl(errno, fd, request, argument);
    return result < 0 ? -Libc.errno(errno) : result;
  }

  /**
   * Makes an ioctl during which no signal reaches this thread, except those that an instruction of
   * its own raises, and {@code SIGKILL} and {@code SIGSTOP}. For calls that the kernel would break
   * off half-way. The signals are delivered before this returns.
   *
   * @param call name of the call, for messages
   * @param request number of the request, {@link IoctlNumber}
   * @param argument its argument
   * @return the result, 0 or more
   * @throws ErrnoException if the kernel refuses
   * @throws IllegalStateException if this is closed
   */
  public synchronized int ioctlWithoutSignals(String call, long request, long argument) {
    if (mask == null) {
      mask = new SignalMask();
    }
    SignalMask held = mask;
    int result;
    held.block();
    try {
      result = tryIoctl(request, argument); // The lock is held already: this does not wait.
    } finally {
      held.restore();
    }
    return checked(call, result);
  }

  /**
   * Makes an ioctl whose argument is a record.
   *
   * @param call name of the call, for messages
   * @param request number of the request, {@link IoctlNumber}
   * @param argument the record, in native memory
   * @param kept memory whose address stands in the record, or {@link MemorySegment#NULL}. It is
   *     handed to the call as well, so that it cannot be closed while the kernel uses it
   * @return the result, 0 or more
   * @throws ErrnoException if the kernel refuses
   * @throws IllegalStateException if this, or one of the segments, is closed
   */
  public synchronized int ioctl(
      String call, long request, MemorySegment argument, MemorySegment kept) {
    checkOpen();
    int result = Libc.ioctl(errno, fd, request, argument, kept);
    return checked(call, result < 0 ? -Libc.errno(errno) : result);
  }

  private static int checked(String call, int result) {
    if (result < 0) {
      throw new ErrnoException(call, -result);
    }
    return result;
  }

  /**
   * Maps a part of the file, shared and writable. The kernel loads all pages at once (from Linux
   * 5.14 on), so that a part which the file does not have is an error here, and not a {@code
   * SIGBUS} at a later access.
   *
   * @param what what is mapped, for messages
   * @param offset first byte in the file, a multiple of the page size
   * @param size bytes, more than 0
   * @param arena arena whose close unmaps it; independent of {@link #close}
   * @return the mapping
   * @throws ErrnoException if it cannot be mapped; its call is {@code mmap} and {@code what}, and
   *     nothing is left mapped when the arena is closed
   * @throws IllegalStateException if this, or the arena, is closed
   */
  public synchronized MemorySegment map(String what, long offset, long size, Arena arena) {
    checkOpen();
    return Libc.map("mmap " + what, fd, offset, size, arena);
  }

  /**
   * Tells whether a part of the file is known to exist and can be mapped.
   *
   * @param offset first byte in the file, a multiple of the page size
   * @param size bytes, more than 0
   * @return true if it can be mapped; false if it cannot, and always before Linux 5.14
   * @throws IllegalStateException if this is closed
   */
  public synchronized boolean canMap(long offset, long size) {
    checkOpen();
    return Libc.canMap(fd, offset, size);
  }

  /**
   * Closes the descriptor, and the file descriptor if this object owns it. Waits for a call that is
   * under way. A second call does nothing.
   */
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
