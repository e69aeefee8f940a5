package dev.smudge.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Keeps signals away from the current thread for the length of one native call. Signals that come
 * meanwhile wait until {@link #restore}.
 *
 * <p>Signals that an instruction of the thread itself raises stay open: {@code SIGSEGV} and its
 * kind. The JVM handles them, for instance at its own safepoints, and the kernel ends the process
 * if one is raised while it is blocked. {@code SIGKILL} and {@code SIGSTOP} cannot be blocked.
 *
 * <p>One thread at a time, which takes no lock and does not block in Java between {@link #block}
 * and {@link #restore}: a virtual thread could go on with another platform thread otherwise, and
 * leave the first one with its signals blocked. Allocates nothing after construction.
 *
 * <p>Source: pthread_sigmask(3), signal(7).
 */
final class SignalMask {
  private static final int SIGILL = 4;
  private static final int SIGTRAP = 5;
  private static final int SIGBUS = 7;
  private static final int SIGFPE = 8;
  private static final int SIGSEGV = 11;

  private final MemorySegment blocked = newSet();
  private final MemorySegment before = newSet();

  SignalMask() {
    long raisedByInstructions =
        SigsetLayout.bit(SIGILL)
            | SigsetLayout.bit(SIGTRAP)
            | SigsetLayout.bit(SIGBUS)
            | SigsetLayout.bit(SIGFPE)
            | SigsetLayout.bit(SIGSEGV);
    blocked.set(JAVA_LONG, SigsetLayout.FIRST_WORD_OFFSET, ~raisedByInstructions);
  }

  private static MemorySegment newSet() {
    return Arena.ofAuto().allocate(SigsetLayout.SIZE, Long.BYTES);
  }

  /** Blocks the signals for this thread, and remembers which ones it had blocked before. */
  void block() {
    Libc.blockSignals(blocked, before);
  }

  /** Gives this thread the mask that it had before {@link #block}. */
  void restore() {
    Libc.setSignalMask(before);
  }
}
