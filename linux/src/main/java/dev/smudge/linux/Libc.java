package dev.smudge.linux;

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
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The functions of the C library that Smudge calls. No other class calls a native function.
 *
 * <p>A call that fails leaves its errno in a segment that the caller passes, made by {@link
 * #newErrno}. One thread at a time may use such a segment.
 *
 * <p>Every segment that a call reads or writes is an argument of the call, even where the kernel
 * only finds its address in another one: Java keeps arguments open until the call returns.
 *
 * <p>The functions may be called by any thread. Where the JVM denies native access, or this is not
 * Linux, each call throws an {@link UnsupportedOperationException} that says what is missing; the
 * class is initialized all the same, so that it is the same at every call.
 */
@SuppressWarnings("restricted")
public final class Libc {
  static final int O_RDONLY = 0;
  static final int O_RDWR = 2;
  static final int O_CLOEXEC = 02000000;

  static final int MAP_SHARED = 1;
  static final int MAP_PRIVATE = 2;
  static final int MAP_FIXED = 0x10;
  static final int MAP_ANONYMOUS = 0x20;
  static final int MAP_NORESERVE = 0x4000;
  static final int MADV_DONTNEED = 4;
  static final int MADV_POPULATE_READ = 22;

  private static final int PROT_READ_WRITE = 3;
  private static final int MFD_CLOEXEC = 1;
  private static final int SIG_BLOCK = 0;
  private static final int SIG_SETMASK = 2;

  private static final int FIXED_ARITY = -1;

  private static final Linker LINKER = Linker.nativeLinker();

  /** Why no call can be made here; null if they can. */
  private static final @Nullable String REASON = reason();

  private static final MethodHandle REFUSE = refusal();
  private static final Linker.Option ERRNO_OPTION = Linker.Option.captureCallState("errno");
  private static final StructLayout ERRNO_LAYOUT = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      ERRNO_LAYOUT.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private static final MethodHandle OPEN =
      withErrno("open", 2, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle CLOSE =
      function("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle IOCTL =
      withErrno("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
  // The C function ignores the last argument: it is passed so that Java keeps it open.
  private static final MethodHandle IOCTL_MEMORY =
      withErrno("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS));
  private static final MethodHandle MMAP =
      withErrno(
          "mmap",
          FIXED_ARITY,
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MUNMAP =
      function("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle MADVISE =
      withErrno(
          "madvise", FIXED_ARITY, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
  private static final MethodHandle MEMFD_CREATE =
      withErrno("memfd_create", FIXED_ARITY, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle SYSTEM_CALL =
      withErrno("syscall", 1, FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle PAGE_SIZE =
      function("getpagesize", FunctionDescriptor.of(JAVA_INT));
  private static final MethodHandle THREAD_SELF =
      function("pthread_self", FunctionDescriptor.of(JAVA_LONG));
  private static final MethodHandle THREAD_KILL =
      function("pthread_kill", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT));
  private static final MethodHandle SIGACTION =
      withErrno(
          "sigaction", FIXED_ARITY, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));
  private static final MethodHandle SIGNAL_MASK =
      function("pthread_sigmask", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));

  private Libc() {}

  /** The address of a function. */
  static MemorySegment address(String function) {
    return LINKER.defaultLookup().findOrThrow(function);
  }

  private static MethodHandle withErrno(
      String function, int firstVariadic, FunctionDescriptor descriptor) {
    return firstVariadic == FIXED_ARITY
        ? function(function, descriptor, ERRNO_OPTION)
        : function(
            function, descriptor, ERRNO_OPTION, Linker.Option.firstVariadicArg(firstVariadic));
  }

  private static MethodHandle function(
      String function, FunctionDescriptor descriptor, Linker.Option... options) {
    return REASON == null
        ? LINKER.downcallHandle(address(function), descriptor, options)
        : refused(descriptor, options);
  }

  private static @Nullable String reason() {
    if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux")) {
      return "this is not Linux";
    }
    try {
      LINKER.downcallHandle(FunctionDescriptor.ofVoid());
      return null;
    } catch (IllegalCallerException e) {
      Module module = Libc.class.getModule();
      return "start the JVM with --enable-native-access="
          + (module.isNamed() ? module.getName() : "ALL-UNNAMED");
    }
  }

  /** In the place of a call that cannot be made: it has the same type, and throws. */
  private static MethodHandle refused(FunctionDescriptor descriptor, Linker.Option... options) {
    MethodType type = descriptor.toMethodType();
    if (List.of(options).contains(ERRNO_OPTION)) {
      type = type.insertParameterTypes(0, MemorySegment.class);
    }
    return MethodHandles.foldArguments(MethodHandles.empty(type), REFUSE);
  }

  private static MethodHandle refusal() {
    try {
      return MethodHandles.lookup()
          .findStatic(Libc.class, "check", MethodType.methodType(void.class));
    } catch (ReflectiveOperationException e) {
      throw new LinkageError(e.getMessage(), e);
    }
  }

  /** Whether calls can be made here. */
  static boolean isThere() {
    return REASON == null;
  }

  /** Throws if no call can be made here. */
  static void check() {
    if (REASON != null) {
      throw new UnsupportedOperationException("Smudge may not call Linux: " + REASON);
    }
  }

  /** A new segment for the errno of calls. */
  static MemorySegment newErrno() {
    return Arena.ofAuto().allocate(ERRNO_LAYOUT);
  }

  /** The errno that the last failed call has left. */
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

  /** Makes a system call of one argument; returns -1 if it fails. */
  static long systemCall(MemorySegment errno, long number, long argument) {
    try {
      return (long) SYSTEM_CALL.invokeExact(errno, number, argument);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Closes a file descriptor. */
  static void close(int fd) {
    try {
      int ignored = (int) CLOSE.invokeExact(fd); // Linux closes it even where it reports an error.
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Returns 0 or more, or -1. */
  static int ioctl(MemorySegment errno, int fd, long request, long argument) {
    try {
      return (int) IOCTL.invokeExact(errno, fd, request, argument);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Returns 0 or more, or -1.
   *
   * @param argument a record
   * @param kept a segment whose address stands in the record, or NULL
   */
  static int ioctl(
      MemorySegment errno, int fd, long request, MemorySegment argument, MemorySegment kept) {
    try {
      return (int) IOCTL_MEMORY.invokeExact(errno, fd, request, argument, kept);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * A shared, writable mapping of a part of a file, which is unmapped when the arena closes.
   *
   * <p>A mapping may reach beyond the end of its file, and an access there raises SIGBUS. So the
   * pages are loaded at once, which fails for a part that the file does not have. A kernel before
   * 5.14 cannot do that; there the mapping is returned unchecked.
   *
   * @throws ErrnoException if it cannot be mapped
   */
  static MemorySegment map(String call, int fd, long offset, long size, Arena arena) {
    MemorySegment errno = newErrno();
    MemorySegment mapping = map(call, errno, size, MAP_SHARED, fd, offset, arena);
    int missing = populate(errno, mapping);
    if (missing != 0 && missing != Errno.EINVAL) {
      throw new ErrnoException(call, missing);
    }
    return mapping;
  }

  /** A new mapping, readable and writable; its address, or -1. */
  static long mmap(MemorySegment errno, long address, long size, int flags, int fd, long offset) {
    try {
      return (long) MMAP.invokeExact(errno, address, size, PROT_READ_WRITE, flags, fd, offset);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * A new mapping, readable and writable, until the arena closes.
   *
   * @throws ErrnoException if it cannot be mapped
   */
  static MemorySegment map(
      String call, MemorySegment errno, long size, int flags, int fd, long offset, Arena arena) {
    Unmapping unmapping = new Unmapping(size); // first: nothing is mapped yet if this throws
    long address = mmap(errno, 0, size, flags, fd, offset);
    if (address == -1) {
      throw new ErrnoException(call, errno(errno));
    }
    unmapping.address = address;
    try {
      return MemorySegment.ofAddress(address).reinterpret(size, arena, unmapping);
    } catch (Throwable e) {
      unmapping.run(); // the arena may have it already, or not
      throw e;
    }
  }

  /** Unmaps once, whoever asks. Allocates nothing. */
  private static final class Unmapping implements Consumer<MemorySegment> {
    private final long size;
    private long address = -1; // nothing is mapped

    Unmapping(long size) {
      this.size = size;
    }

    @Override
    public void accept(MemorySegment mapping) {
      run();
    }

    synchronized void run() {
      long mapped = address;
      address = -1;
      if (mapped == -1) {
        return;
      }
      try {
        int ignored = (int) MUNMAP.invokeExact(mapped, size);
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }
  }

  /** What somebody else has mapped. */
  static MemorySegment at(long address, long size) {
    return MemorySegment.ofAddress(address).reinterpret(size);
  }

  /** A new file in memory, of no bytes: its descriptor, or -1. */
  static int memfd(MemorySegment errno, String name) {
    try (Arena arena = Arena.ofConfined()) {
      return (int) MEMFD_CREATE.invokeExact(errno, arena.allocateFrom(name), MFD_CLOEXEC);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Whether it is known that a part of a file exists and can be mapped. */
  static boolean canMap(int fd, long offset, long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mapping = map("mmap", fd, offset, size, arena);
      return populate(newErrno(), mapping) == 0;
    } catch (ErrnoException e) {
      return false;
    }
  }

  /** Returns 0 if all pages are loaded, EINVAL if the kernel cannot do that (before 5.14). */
  private static int populate(MemorySegment errno, MemorySegment mapping) {
    return madvise(errno, mapping, MADV_POPULATE_READ);
  }

  /** Returns 0, or the error. */
  static int madvise(MemorySegment errno, MemorySegment mapping, int advice) {
    try {
      int result = (int) MADVISE.invokeExact(errno, mapping, mapping.byteSize(), advice);
      return result == 0 ? 0 : errno(errno);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** {@return the bytes of a page of this machine's memory} */
  public static int pageSize() {
    try {
      return (int) PAGE_SIZE.invokeExact();
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Returns the platform thread that runs this, for {@link KickSignal#send}. A virtual thread can
   * have another one after each time that it has waited.
   *
   * @return its {@code pthread_t}, never 0
   */
  public static long currentThread() {
    try {
      return (long) THREAD_SELF.invokeExact();
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Sends a signal to a thread, which has to be alive.
   *
   * @return 0, or the number of the error; {@link Errno#EAGAIN} if it is a real-time signal and the
   *     user has as many pending as {@code ulimit -i} allows
   */
  static int signal(long thread, int signal) {
    try {
      return (int) THREAD_KILL.invokeExact(thread, signal);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Blocks signals for this thread, in addition to those that are blocked, and stores the old mask.
   */
  static void blockSignals(MemorySegment signals, MemorySegment old) {
    setMask(SIG_BLOCK, signals, old);
  }

  /** Sets this thread's mask to one that {@link #blockSignals} has stored. */
  static void setSignalMask(MemorySegment mask) {
    setMask(SIG_SETMASK, mask, MemorySegment.NULL);
  }

  private static void setMask(int how, MemorySegment set, MemorySegment old) {
    try {
      int ignored = (int) SIGNAL_MASK.invokeExact(how, set, old);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Returns 0, or -1.
   *
   * @param action the new action, or NULL
   * @param old gets the old action, or NULL
   */
  static int sigaction(MemorySegment errno, int signal, MemorySegment action, MemorySegment old) {
    try {
      return (int) SIGACTION.invokeExact(errno, signal, action, old);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof RuntimeException exception) {
      return exception; // An argument is closed, or belongs to another thread.
    }
    if (e instanceof Error error) {
      throw error;
    }
    return new IllegalStateException(e);
  }
}
