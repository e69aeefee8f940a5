package dev.smudge.sync.tracker;

/**
 * vCPUs that belong to a tracker, such as KVM's, which take no part in the handshake of the log. A
 * log over such a tracker has no vCPUs of its own. Changes that remove slots stop them, because
 * such a tracker cannot change its slots in one step.
 */
@FunctionalInterface
public interface TrackerVcpus {
  /**
   * Stops the vCPUs: waits until none of them writes any more, and until another thread that has
   * stopped them lets them go on. A thread that has stopped them already may stop them again; they
   * go on after the last. Called from any thread, without a lock.
   *
   * @return lets them go on; called once, by any thread
   * @throws dev.smudge.sync.error.VcpuTimeoutException if one does not stop in time; none is
   *     stopped then
   */
  Runnable pause();

  /**
   * The log is being closed: no vCPU waits any longer for a thread that has stopped the vCPUs in a
   * pause. A vCPU that would have to wait gets an exception, and does not run; the {@link #pause}
   * that follows returns once none of them writes. Called from any thread, without a lock, perhaps
   * more than once.
   */
  default void close() {}
}
