package dev.smudge.sync.error;

import org.jspecify.annotations.Nullable;

/**
 * A vCPU did not reach a safepoint in time, or a wait for another thread took too long. The message
 * names the vCPU or thread; the cause has the stack of that thread at that moment.
 */
public final class VcpuTimeoutException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  /**
   * Makes the exception.
   *
   * @param message what was waited for, how long, and what to do
   * @param late the thread that was waited for, whose present stack becomes the cause; null if it
   *     is not known
   */
  public VcpuTimeoutException(String message, @Nullable Thread late) {
    super(message, stackOf(late));
  }

  private static Throwable stackOf(@Nullable Thread thread) {
    Throwable stack = new Throwable("stack of " + thread);
    stack.setStackTrace(thread == null ? new StackTraceElement[0] : thread.getStackTrace());
    return stack;
  }
}
