package dev.smudge.sync.rcu;

import org.jspecify.annotations.Nullable;

/**
 * Threads with quiescent states of their own, such as the vCPUs of a log at their safepoints. A
 * section of such a thread costs no fence: a grace period first waits until each of them has passed
 * a quiescent state, or is offline. At that moment the thread publishes a section that goes on with
 * {@link RcuReader#quiescent}. All methods may be called from any thread.
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
   * Asks every thread to pass a quiescent state. What the caller did before is visible to whoever
   * has passed it. Does not wait.
   *
   * @return tells when all have
   */
  Quiescence request();

  /**
   * Runs something that waits. If the calling thread is one of these, it is offline meanwhile, so
   * that two that wait for each other both finish.
   *
   * @param what what it waits for, for messages
   * @param wait the wait
   */
  void waitOffline(String what, Runnable wait);

  /**
   * Returns where the calling thread is, if a wait would wait for itself there.
   *
   * @return for messages, "the arm callback of vCPU 3"; null if it may wait
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
     * Describes a thread that has not, for an error.
     *
     * @param nanos how long the caller has waited
     * @return not thrown: its message names the thread and what it has to do, its stack is that
     *     thread's
     */
    Throwable late(long nanos);
  }
}
