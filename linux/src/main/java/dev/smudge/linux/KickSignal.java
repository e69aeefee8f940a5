package dev.smudge.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A signal that ends the call in which a thread is blocked: the call returns {@link Errno#EINTR}.
 *
 * <p>It is {@code SIGSTKFLT}, which neither Linux nor the JVM sends. If the process has a handler
 * for that one already, it is the last real-time signal without a handler. A real-time signal is
 * the second choice because the kernel queues it: once the user has as many pending, in all of its
 * processes, as {@code ulimit -i} allows, the next one is refused, and the thread stays in its
 * call. The others are never refused: one that is pending stands for all that follow.
 *
 * <p>The handler does nothing, because delivery alone interrupts the call. Java code cannot run in
 * a signal handler, so the handler is the C library's {@code getppid}: it ignores the argument that
 * a handler gets, and POSIX lists it as safe to call in one. It is installed without {@code
 * SA_RESTART}, so the kernel does not restart the interrupted call.
 *
 * <p>The signal is chosen when this class is first used, and stays ours until the process ends.
 *
 * <p>Source: signal-safety(7), signal(7); Linux kernel/signal.c, {@code __send_signal_locked}.
 */
public final class KickSignal {
  private static final int STKFLT = 16;
  private static final int LAST = 64;
  private static final int FIRST = 35; // The C library keeps 32 to 34 for itself.

  /**
   * The signal, once its handler is installed; 0 if none is free; the errno of {@code sigaction},
   * negated, if it failed. A constant, so that kicks of different threads share no lock.
   */
  private static final int NUMBER = install();

  private KickSignal() {}

  /**
   * Sends the signal to a thread. A call that the thread is blocked in returns {@link Errno#EINTR};
   * where it is in no call, nothing happens. A kick that comes just before the call is lost, so the
   * caller needs a flag beside it that the thread looks at when it enters the call.
   *
   * <p>Any thread may call it. It does not wait for the delivery.
   *
   * @param thread thread as {@link Libc#currentThread} names it. It has to be alive: after its end
   *     the number may be another thread's, or point to memory that is gone
   * @throws IllegalStateException if no signal is free; nothing is sent
   * @throws UnsupportedOperationException if the JVM denies native access; nothing is sent
   * @throws ErrnoException if the handler cannot be installed, or the kernel refuses the signal;
   *     nothing is sent
   */
  public static void send(long thread) {
    int error = Libc.signal(thread, number());
    if (error != 0) {
      throw new ErrnoException("pthread_kill", error);
    }
  }

  /** The signal's number. */
  static int number() {
    if (NUMBER > 0) {
      return NUMBER;
    }
    Libc.check();
    if (NUMBER < 0) {
      throw new ErrnoException("sigaction", -NUMBER);
    }
    throw new IllegalStateException(
        "neither SIGSTKFLT nor a real-time signal from "
            + FIRST
            + " to "
            + LAST
            + " is free: a thread inside a call cannot be kicked");
  }

  private static int install() {
    if (!Libc.isThere()) {
      return 0; // nothing here throws: a class that cannot be initialized says why only once
    }
    MemorySegment errno = Libc.newErrno();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment old = arena.allocate(SigactionLayout.SIZE, Long.BYTES);
      MemorySegment action = arena.allocate(SigactionLayout.SIZE, Long.BYTES);
      action.set(
          ValueLayout.JAVA_LONG, SigactionLayout.HANDLER_OFFSET, Libc.address("getppid").address());
      int signal = STKFLT;
      while (signal >= FIRST || signal == STKFLT) {
        if (Libc.sigaction(errno, signal, MemorySegment.NULL, old) == 0
            && old.get(ValueLayout.JAVA_LONG, SigactionLayout.HANDLER_OFFSET) == 0) {
          int result = Libc.sigaction(errno, signal, action, MemorySegment.NULL);
          return result == 0 ? signal : -Libc.errno(errno);
        }
        signal = signal == STKFLT ? LAST : signal - 1;
      }
    }
    return 0;
  }
}
