package dev.smudge.sync.rcu;

/**
 * A grace period, or the tasks that a barrier waits for, did not end in time. The message names the
 * thread that was waited for; the cause carries its stack at that moment. With the system property
 * {@code dev.smudge.rcu.stacks=true} a suppressed exception carries the stack with which it entered
 * its read-side section.
 */
public final class RcuTimeoutException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  RcuTimeoutException(String message, Throwable stackOfTheThread) {
    super(message, stackOfTheThread);
  }
}
