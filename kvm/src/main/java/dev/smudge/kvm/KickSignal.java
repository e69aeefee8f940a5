package dev.smudge.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The signal that gets a vCPU's thread out of the guest: the last real-time signal that nobody in
 * this process uses. Its handler does nothing; that it comes is enough. The handler has to be
 * native, since Java cannot run in one: it is {@code getppid}, which takes no argument and may be
 * called in a handler.
 */
final class KickSignal {
  private static final int LAST = 64;
  private static final int FIRST = 35; // those before are the C library's own

  static final int NUMBER = install();

  private KickSignal() {}

  private static int install() {
    MemorySegment errno = Libc.newErrno();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment old = arena.allocate(SigactionLayout.SIZE, Long.BYTES);
      MemorySegment action = arena.allocate(SigactionLayout.SIZE, Long.BYTES);
      action.set(
          ValueLayout.JAVA_LONG, SigactionLayout.HANDLER_OFFSET, Libc.address("getppid").address());
      for (int signal = LAST; signal >= FIRST; signal--) {
        if (Libc.sigaction(errno, signal, MemorySegment.NULL, old) == 0
            && old.get(ValueLayout.JAVA_LONG, SigactionLayout.HANDLER_OFFSET) == 0) {
          if (Libc.sigaction(errno, signal, action, MemorySegment.NULL) != 0) {
            throw new KvmException("sigaction", Libc.errno(errno));
          }
          return signal;
        }
      }
    }
    throw new IllegalStateException(
        "no real-time signal from " + FIRST + " to " + LAST + " is free: vCPUs cannot be kicked");
  }
}
