package dev.smudge.sync.tracker;

/** A device or a listener that was added to a log or to a memory, and can be removed again. */
public interface Registration extends AutoCloseable {
  /** {@return whether {@link #close} was called, by any thread; no call of it begins after that} */
  boolean isClosed();

  /**
   * Removes the device or listener. Never waits; legal from any thread, also in a read-side
   * section, in one of its own callbacks, and while another thread is in one. No call of it begins
   * after this returns. After the grace period a task of the log's RCU collects its last dirty
   * pages, stops it, and makes its last call. A slot that is removed meanwhile is released after
   * that. A second call does nothing.
   */
  @Override
  void close();
}
