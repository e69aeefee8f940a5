package dev.smudge.sync.inhibitor;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import org.jspecify.annotations.Nullable;

/** What goes wrong with an {@link AccessInhibitor}: who, and what to do. */
final class InhibitorErrors {
  private InhibitorErrors() {}

  static VcpuException inKick(@Nullable Thread holder) {
    return new VcpuException(
        "inhibit by " + holder + " in a kick would wait for itself: do it after the kick");
  }

  static VcpuException inside(InhibitableAccess access) {
    return new VcpuException("inhibit by " + access + " inside would wait for itself: leave first");
  }

  static VcpuTimeoutException otherHolds(long millis, Thread other) {
    return new VcpuTimeoutException(
        "waited " + millis + " ms for the hold of " + other + "; its stack is the cause", other);
  }

  static VcpuTimeoutException staysInside(
      long millis, InhibitableAccess access, @Nullable Thread owner) {
    return new VcpuTimeoutException(
        access
            + " did not leave within "
            + millis
            + " ms: its kick has to make it leave; its stack is the cause",
        owner);
  }

  static VcpuException endedInAChange(Thread thread) {
    return new VcpuException(
        thread
            + " has ended and still holds accesses back; a thread that knows that its change is"
            + " complete has to close its hold");
  }

  static VcpuException endedInAPause(Thread thread) {
    return new VcpuException(
        thread + " has ended and has not closed its pause; the pause has ended now");
  }

  static VcpuException endedInside(InhibitableAccess access) {
    return new VcpuException(
        access + " has ended inside; it counts as outside now, and should have called leave()");
  }

  static VcpuException enterByHolder(Thread holder) {
    return new VcpuException(
        "enter by "
            + holder
            + ", which holds accesses back: it would wait for itself. Close the hold first");
  }

  static VcpuException closedInAPause(Thread holder) {
    return new VcpuException(
        "enter by "
            + Thread.currentThread()
            + " waited for the end of the pause that "
            + holder
            + " holds, but the inhibitor is closed, with its dirty log: it has not entered");
  }
}
