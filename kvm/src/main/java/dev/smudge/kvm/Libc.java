package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * The calls of the C library that are needed: nothing else goes native.
 *
 * <p>A call that fails leaves its errno in the segment that it was given, by {@link #newErrno}: for
 * one thread at a time. Segments that a call uses, also by way of an address in another one, are
 * arguments of it: so they cannot be closed meanwhile.
 */
@SuppressWarnings("restricted")
final class Libc {
  static final int O_RDWR = 2;
  static final int O_CLOEXEC = 02000000;

  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_SHARED = 1;
  private static final int MADV_POPULATE_READ = 22;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private static final MethodHandle OPEN =
      withErrno("open", 2, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle CLOSE =
      LINKER.downcallHandle(address("close"), FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle IOCTL =
      withErrno("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
  // The last argument is not looked at by the callee: it is kept open.
  private static final MethodHandle IOCTL_MEMORY =
      withErrno("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS));
  private static final MethodHandle MMAP =
      withErrno(
          "mmap",
          -1,
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MUNMAP =
      LINKER.downcallHandle(address("munmap"), FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
  private static final MethodHandle MADVISE =
      withErrno("madvise", -1, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
  private static final MethodHandle PAGE_SIZE =
      LINKER.downcallHandle(address("getpagesize"), FunctionDescriptor.of(JAVA_INT));
  private static final MethodHandle THREAD_SELF =
      LINKER.downcallHandle(address("pthread_self"), FunctionDescriptor.of(JAVA_LONG));
  private static final MethodHandle THREAD_KILL =
      LINKER.downcallHandle(
          address("pthread_kill"), FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT));
  private static final MethodHandle SIGACTION =
      withErrno("sigaction", -1, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));

  private static final MethodHandle SIGNAL_MASK =
      LINKER.downcallHandle(
          address("pthread_sigmask"), FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));

  /** Bytes of a sigset_t. */
  static final int SIGNAL_SET_SIZE = 128;

  private static final int SIG_BLOCK = 0;
  private static final int SIG_SETMASK = 2;

  private Libc() {}

  /** Address of a function. */
  static MemorySegment address(String function) {
    return LINKER.defaultLookup().findOrThrow(function);
  }

  private static MethodHandle withErrno(
      String function, int firstVariadic, FunctionDescriptor descriptor) {
    Linker.Option errno = Linker.Option.captureCallState("errno");
    return firstVariadic < 0
        ? LINKER.downcallHandle(address(function), descriptor, errno)
        : LINKER.downcallHandle(
            address(function), descriptor, errno, Linker.Option.firstVariadicArg(firstVariadic));
  }

  /** A segment for the errno of calls. */
  static MemorySegment newErrno() {
    return Arena.ofAuto().allocate(ERRNO_LAYOUT);
  }

  static int errno(MemorySegment errno) {
    return (int) ERRNO.get(errno, 0L);
  }

  /** A new file descriptor, or -1. */
  static int open(MemorySegment errno, String path, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      return (int) OPEN.invokeExact(errno, arena.allocateFrom(path), flags);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static void close(int fd) {
    try {
      int ignored = (int) CLOSE.invokeExact(fd); // it is closed also if it returns an error
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int ioctl(MemorySegment errno, int fd, long request, long argument) {
    try {
      return (int) IOCTL.invokeExact(errno, fd, request, argument);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** As the other, with a record, and a segment whose address is in the record, or NULL. */
  static int ioctl(
      MemorySegment errno, int fd, long request, MemorySegment argument, MemorySegment kept) {
    try {
      return (int) IOCTL_MEMORY.invokeExact(errno, fd, request, argument, kept);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * A shared, writable mapping of a file, which is unmapped when the arena closes. All of it is
   * there: where it is not, an access would be SIGBUS.
   */
  static MemorySegment map(String what, int fd, long offset, long size, Arena arena) {
    MemorySegment errno = newErrno();
    long address;
    try {
      address = (long) MMAP.invokeExact(errno, 0L, size, PROT_READ_WRITE, MAP_SHARED, fd, offset);
    } catch (Throwable e) {
      throw unexpected(e);
    }
    if (address == -1) {
      throw new KvmException("mmap " + what, errno(errno));
    }
    MemorySegment mapping = MemorySegment.ofAddress(address).reinterpret(size, arena, Libc::unmap);
    int missing = populate(mapping, errno);
    if (missing != 0 && missing != Errno.EINVAL) {
      throw new KvmException("mmap " + what, missing);
    }
    return mapping;
  }

  /** Returns 0 if all of it is there, EINVAL if the kernel cannot tell (before 5.14). */
  private static int populate(MemorySegment mapping, MemorySegment errno) {
    try {
      int result =
          (int) MADVISE.invokeExact(errno, mapping, mapping.byteSize(), MADV_POPULATE_READ);
      return result == 0 ? 0 : errno(errno);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Whether it is known that a file has something to map there. */
  static boolean has(int fd, long offset, long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mapping = map("beyond", fd, offset, size, arena);
      return populate(mapping, newErrno()) == 0;
    } catch (KvmException e) {
      return false;
    }
  }

  private static void unmap(MemorySegment mapping) {
    try {
      int ignored = (int) MUNMAP.invokeExact(mapping, mapping.byteSize());
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int pageSize() {
    try {
      return (int) PAGE_SIZE.invokeExact();
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** The platform thread that runs this, never 0. */
  static long currentThread() {
    try {
      return (long) THREAD_SELF.invokeExact();
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Sends a signal to a thread that has not ended. */
  static void signal(long thread, int signal) {
    try {
      int ignored = (int) THREAD_KILL.invokeExact(thread, signal);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** This thread gets none of these signals until {@link #unblockSignals} is called with old. */
  static void blockSignals(MemorySegment signals, MemorySegment old) {
    setMask(SIG_BLOCK, signals, old);
  }

  static void unblockSignals(MemorySegment old) {
    setMask(SIG_SETMASK, old, MemorySegment.NULL);
  }

  private static void setMask(int how, MemorySegment set, MemorySegment old) {
    try {
      int ignored = (int) SIGNAL_MASK.invokeExact(how, set, old);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int sigaction(MemorySegment errno, int signal, MemorySegment action, MemorySegment old) {
    try {
      return (int) SIGACTION.invokeExact(errno, signal, action, old);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof RuntimeException exception) {
      return exception; // a segment that is closed, or of another thread
    }
    if (e instanceof Error error) {
      throw error;
    }
    return new IllegalStateException(e);
  }
}
