package dev.smudge.sync.rcu;

import org.jspecify.annotations.Nullable;

/**
 * Threads with their own quiescent states, such as the vCPUs of a log at their safepoints. A
 * section of such a thread costs no fence: a grace period first waits until each of these threads
 * has passed a quiescent state, or is offline. If a section goes on at that moment, the thread
 * publishes it with {@link RcuReader#quiescent}. All methods may be called from any thread.
 */
public interface RcuVcpus {
  /** None: every thread publishes its sections itself. */
  RcuVcpus NONE =
      new RcuVcpus() {
        @Override
        public Quiescence request() {
          return Quiescence.REACHED;
        }

        @Override
        public void waitOffline(String what, Runnable wait) {
          wait.run();
        }

        @Override
        public @Nullable String placeThatMustNotWait() {
          return null;
        }
      };

  /**
   * Asks every thread to pass a quiescent state. A thread that has passed it sees everything that
   * the caller did before. Does not wait.
   *
   * @return the request, which knows when all threads have passed
   */
  Quiescence request();

  /**
   * Runs a wait. If the calling thread is one of these threads, it is offline meanwhile, so that
   * two threads that wait for each other both finish.
   *
   * @param what what the wait is for, for messages
   * @param wait the wait
   */
  void waitOffline(String what, Runnable wait);

  /**
   * Returns where the calling thread is, if it would wait for itself there.
   *
   * @return the place for messages, such as "the arm callback of vCPU 3"; null if the thread may
   *     wait
   */
  @Nullable String placeThatMustNotWait();

  /** A request that was made. Polled by one thread at a time; never blocks. */
  interface Quiescence {
    /** Of no threads at all. */
    Quiescence REACHED =
        new Quiescence() {
          @Override
          public boolean isReached() {
            return true;
          }

          @Override
          public Throwable late(long nanos) {
            return new IllegalStateException("nobody is late");
          }
        };

    /**
     * {@return whether every thread has passed a quiescent state since the request, or is offline,
     * or has ended}
     */
    boolean isReached();

    /**
     * Describes, for an error, a thread that has not passed a quiescent state.
     *
     * @param nanos how long the caller has waited
     * @return an exception to be used as a cause: its message names the thread and what it has to
     *     do, and its stack is that thread's
     */
    Throwable late(long nanos);
  }
}
