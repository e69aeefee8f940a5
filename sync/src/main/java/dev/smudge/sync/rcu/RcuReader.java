package dev.smudge.sync.rcu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One thread's read-side sections of one {@link Rcu}. A thread with its own quiescent states (a
 * vCPU) announces them here; all other threads only use {@link Rcu#enter} and {@link Rcu#exit}.
 *
 * <p>The word of a reader is 0, or the epoch in which the section began that grace periods have to
 * wait for. A thread publishes its word as it enters, unless it is online here: then grace periods
 * wait for its quiescent states anyway, and it publishes the word only if it passes a quiescent
 * state, or goes offline, inside a section. The public methods are for the thread itself; they are
 * wait-free.
 */
public final class RcuReader extends RcuReaderPadding {
  private static final VarHandle WORD;

  static {
    try {
      WORD = MethodHandles.lookup().findVarHandle(RcuReader.class, "word", long.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final Thread thread;
  private final RcuReaders readers;
  private long word;
  private long nesting; // the thread's own, as are the next two
  private long entered; // the epoch at which the outermost section began
  private boolean online;
  private @Nullable Throwable entry; // before the word (U1, U4)
  private volatile @Nullable RcuReader next; // U5

  RcuReader(Thread thread, RcuReaders readers) {
    this.thread = thread;
    this.readers = readers;
  }

  Thread thread() {
    return thread;
  }

  /** Of {@link #cross}: a section ends. */
  public static final long LEAVE = 0;

  /**
   * Set by the reader's thread where the stack had no room for the {@link #cross} that was to leave
   * a section: a store needs none. The thread's next call does the rest, and nobody waits until
   * then. Cleared by {@code cross} alone.
   */
  // ORDER U9 volatile: what the section read comes before. Pairs with the read in isPast, after
  // that of the word. If weaker: as U2.
  public volatile boolean left;

  /**
   * Whether the reader's thread may be that of a vCPU. Read and written by that thread alone. The
   * vCPU sets it before it takes the thread, and clears it after it has let the thread go: if an
   * error comes between, it stays set.
   */
  public boolean mayHaveVcpu;

  // The thread itself.

  /** {@return whether the reader's thread, which is the caller, is in a section} */
  public boolean isInside() {
    if (left) {
      cross(LEAVE);
    }
    return nesting != 0;
  }

  /**
   * As {@link Rcu#enter}, by the reader's thread, for which it need not be looked up again.
   *
   * @return whether this is the outermost section
   */
  public boolean enter() {
    if (isInside()) {
      nesting++;
      return false;
    }
    long epoch = readers.epoch();
    if (readers.keepStacks()) {
      entry = new Throwable("entered here by " + thread);
    }
    return cross(epoch);
  }

  /**
   * Enters the outermost section, or leaves a section; by the reader's thread. One method does
   * both, so that leaving takes no more of the stack than entering took: what could be entered can
   * be left, wherever the stack may end.
   *
   * @param epoch the epoch in which the outermost section begins; {@link #LEAVE}: a section ends
   * @return false if there is none to leave
   */
  public boolean cross(long epoch) {
    if (epoch != LEAVE) {
      entered = epoch;
      if (!online) {
        // ORDER U1 release, full fence: the word, then what the section reads. Pairs with the full
        // fence of GracePeriod (unlink, then read the words). If weaker: a load of the section
        // passes the buffered word; nobody waits, and what it read is reclaimed. The release: a
        // word of this section says that the one before is over (U2).
        try {
          WORD.setRelease(this, epoch);
          VarHandle.fullFence();
        } catch (StackOverflowError e) {
          word = 0; // calls nothing; no section has begun
          throw e;
        }
      }
      nesting = 1;
      return true;
    }
    long before = nesting;
    if (before != 1) {
      nesting = before == 0 ? 0 : before - 1;
      if (left) {
        left = false;
      }
      return before > 0;
    }
    nesting = 0; // first: it calls nothing
    if (word != 0) {
      try {
        // ORDER U2 release: what the section read comes before. Pairs with the acquire in isPast.
        // If weaker: what is still to be read is reclaimed.
        WORD.setRelease(this, 0L);
      } catch (StackOverflowError e) {
        word = 0; // calls nothing; the section's reads are long over as this is caught
        throw e;
      }
    }
    if (left) {
      left = false; // U9: after the word
    }
    return true;
  }

  /** The thread comes online: from here on grace periods wait for its quiescent states. */
  public void online() {
    online = true;
  }

  /** The thread is about to go offline. To be called before others can see that it is. */
  public void offline() {
    quiescent();
    online = false;
  }

  /**
   * The thread passes a quiescent state: it keeps nothing that it has found without a section. To
   * be called before others can see that it has.
   */
  public void quiescent() {
    if (online && isInside() && word == 0) {
      // ORDER U4 release: a section that goes on is published before the acknowledgement (S2) or
      // the state (S4) that says that those before are over. Pairs with the acquire in isPast,
      // which comes after the look at those. If weaker: nobody waits for this section.
      WORD.setRelease(this, entered);
    }
  }

  // Any thread.

  /** Whether there is no section from before {@code epoch} that has to be waited for. */
  boolean isPast(long epoch) {
    // U1, U2, U4, U9: acquire of the word, and after that a volatile read, U9.
    long published = (long) WORD.getAcquire(this);
    return published == 0 || published >= epoch || (left && nesting == 1);
  }

  boolean isAlive() {
    return thread.isAlive();
  }

  /** The thread has ended: that counts as leaving, and is reported once. */
  synchronized void leaveDead(Consumer<? super Throwable> errorHandler) {
    if (!isInside() && word == 0) {
      return;
    }
    nesting = 0;
    word = 0;
    errorHandler.accept(
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
            stackOf(thread));
    if (entered != null) {
      e.addSuppressed(entered);
    }
    return e;
  }

  /** An exception, not thrown, with the stack that a thread has now. */
  static Throwable stackOf(@Nullable Thread thread) {
    Throwable stack = new Throwable("stack of " + thread);
    stack.setStackTrace(thread == null ? new StackTraceElement[0] : thread.getStackTrace());
    return stack;
  }

  @Nullable RcuReader next() {
    return next;
  }

  void next(@Nullable RcuReader reader) {
    next = reader;
  }
}
