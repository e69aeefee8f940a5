package dev.smudge.sync;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.agrona.ErrorHandler;
import org.jspecify.annotations.Nullable;

/**
 * One thread's read-side sections of one {@link Rcu}. Its word is 0, or the epoch at which the
 * section began that grace periods have to wait for.
 *
 * <p>A thread publishes its word as it enters, but for one that is online as a vCPU: grace periods
 * wait for its safepoints anyway. It publishes the word when it passes a safepoint, or goes
 * offline, inside a section.
 */
final class RcuReader {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

  // 144 bytes an array: no two readers write to one cache line, or to neighbouring ones.
  private static final int LENGTH = 16;
  private static final int WORD = 8;
  private static final int NESTING = 9; // the thread's own, as is the next
  private static final int ENTERED = 10; // the epoch at which the outermost section began

  private final Thread thread;
  private final long[] words = new long[LENGTH];
  private boolean online; // the thread's own
  private @Nullable Throwable entry; // before the word (U1, U4)
  private volatile @Nullable RcuReader next; // U5

  RcuReader(Thread thread) {
    this.thread = thread;
  }

  Thread thread() {
    return thread;
  }

  // The thread itself.

  boolean isInside() {
    return words[NESTING] != 0;
  }

  void nest() {
    words[NESTING]++;
  }

  /** Where the section is entered that is about to begin. */
  void entry(Throwable stack) {
    entry = stack;
  }

  /** Enters the outermost section. */
  void begin(long epoch) {
    words[ENTERED] = epoch;
    if (!online) {
      // ORDER U1 release, full fence: the word, then what the section reads. Pairs with the full
      // fence of GracePeriod (unlink, then read the words). If weaker: a load of the section passes
      // the buffered word; nobody waits, and what it read is reclaimed. The release: a word of this
      // section says that the one before is over (U2).
      WORDS.setRelease(words, WORD, epoch);
      VarHandle.fullFence();
    }
    words[NESTING] = 1; // last: if the stack overflows before, grace periods wait, and say for whom
  }

  /**
   * Leaves a section.
   *
   * @return false if there is none
   */
  boolean exit() {
    long nesting = words[NESTING];
    if (nesting > 1) {
      words[NESTING] = nesting - 1;
      return true;
    }
    if (nesting == 0) {
      return false;
    }
    if (words[WORD] != 0) {
      // ORDER U2 release: what the section read comes before. Pairs with the acquire in isPast. If
      // weaker: what is still to be read is reclaimed.
      WORDS.setRelease(words, WORD, 0L);
    }
    words[NESTING] = 0;
    return true;
  }

  /** The thread is online as a vCPU: its safepoints and its going offline are waited for. */
  void online() {
    online = true;
  }

  /** Before the vCPU is seen offline. */
  void offline() {
    publishIfInside();
    online = false;
  }

  /** Before an acknowledgement, or an offline state, is visible. */
  void publishIfInside() {
    if (online && isInside() && words[WORD] == 0) {
      // ORDER U4 release: a section that goes on is published before the acknowledgement (S2) or
      // the state (S4) that says that those before are over. Pairs with the acquire in isPast,
      // which comes after the look at those. If weaker: nobody waits for this section.
      WORDS.setRelease(words, WORD, words[ENTERED]);
    }
  }

  // Any thread.

  /** Whether there is no section from before {@code epoch} that has to be waited for. */
  boolean isPast(long epoch) {
    // U1, U2, U4 acquire.
    long word = (long) WORDS.getAcquire(words, WORD);
    return word == 0 || word >= epoch;
  }

  boolean isAlive() {
    return thread.isAlive();
  }

  /** The thread has ended: that counts as leaving, and is reported once. */
  synchronized void leaveDead(ErrorHandler errorHandler) {
    if (!isInside() && words[WORD] == 0) {
      return;
    }
    words[NESTING] = 0;
    words[WORD] = 0;
    errorHandler.onError(
        new RcuException(
            thread
                + " ended inside a read-side section: it counts as left now; exit() belongs in a"
                + " finally block"));
  }

  RcuTimeoutException timeout(long nanos) {
    Throwable entered = entry;
    RcuTimeoutException e =
        new RcuTimeoutException(
            thread
                + " has not left its read-side section within "
                + nanos / 1_000_000
                + " ms: it has to call exit(); its stack is the cause"
                + (entered == null
                    ? "; -Ddev.smudge.rcu.stacks=true tells where it entered"
                    : ", and where it entered is suppressed"),
            LogVcpu.stackOf(thread));
    if (entered != null) {
      e.addSuppressed(entered);
    }
    return e;
  }

  @Nullable RcuReader next() {
    return next;
  }

  void next(@Nullable RcuReader reader) {
    next = reader;
  }
}
