package dev.smudge.kvm;

import dev.smudge.linux.Descriptor;
import dev.smudge.linux.ErrnoException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A file descriptor of KVM's. Here a call that Linux has refused becomes a {@link KvmException}.
 *
 * <p>Every method holds this object's lock while its call is under way, and nobody else has the
 * {@link Descriptor}. A thread that already holds the lock therefore never waits in a call: {@link
 * KvmVcpu#run} relies on that.
 */
final class KvmFile implements AutoCloseable {
  private final Descriptor descriptor;

  private KvmFile(Descriptor descriptor) {
    this.descriptor = descriptor;
  }

  static KvmFile open(String path) {
    try {
      return new KvmFile(Descriptor.open(path));
    } catch (ErrnoException e) {
      throw KvmException.of(e);
    }
  }

  /** Takes over a file descriptor that a call has returned. */
  static KvmFile owned(int fd, String what) {
    return new KvmFile(Descriptor.owned(fd, what));
  }

  /** Uses a file descriptor of the embedder's, who closes it. */
  static KvmFile borrowed(int fd, String what) {
    return new KvmFile(Descriptor.borrowed(fd, what));
  }

  boolean isOwned() {
    return descriptor.isOwned();
  }

  /**
   * The number of the file descriptor.
   *
   * @throws IllegalStateException if it is closed
   */
  synchronized int fd() {
    return descriptor.fd();
  }

  /** A call whose argument is a number. */
  synchronized int ioctl(String call, long request, long argument) {
    try {
      return descriptor.ioctl(call, request, argument);
    } catch (ErrnoException e) {
      throw KvmException.of(e);
    }
  }

  /** A call that may fail: returns its errno, negated, then. */
  synchronized int tryIoctl(long request, long argument) {
    return descriptor.tryIoctl(request, argument);
  }

  /** A call that no signal for this thread may end early. */
  synchronized int ioctlWithoutSignals(String call, long request, long argument) {
    try {
      return descriptor.ioctlWithoutSignals(call, request, argument);
    } catch (ErrnoException e) {
      throw KvmException.of(e);
    }
  }

  /**
   * A call with a record; {@code kept} is a segment whose address stands in the record, or NULL.
   */
  synchronized int ioctl(String call, long request, MemorySegment argument, MemorySegment kept) {
    try {
      return descriptor.ioctl(call, request, argument, kept);
    } catch (ErrnoException e) {
      throw KvmException.of(e);
    }
  }

  /** Maps a part of the file, shared and writable, until the arena closes. */
  synchronized MemorySegment map(String what, long offset, long size, Arena arena) {
    try {
      return descriptor.map(what, offset, size, arena);
    } catch (ErrnoException e) {
      throw KvmException.of(e);
    }
  }

  /** Whether a part of the file is known to exist. */
  synchronized boolean canMap(long offset, long size) {
    return descriptor.canMap(offset, size);
  }

  /** Waits for a call that is under way. */
  @Override
  public synchronized void close() {
    descriptor.close();
  }

  @Override
  public String toString() {
    return descriptor.toString();
  }
}
