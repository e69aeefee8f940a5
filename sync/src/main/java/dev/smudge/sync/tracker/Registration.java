package dev.smudge.sync.tracker;

/** Something that was added to a log or to a memory, and can be taken out again. */
public interface Registration extends AutoCloseable {
  /** {@return whether {@link #close} was called, by whomever; no call begins any more then} */
  boolean isClosed();

  /**
   * Takes it out. Never waits; legal from any thread, also in a read-side section, in one of its
   * own callbacks, and while another thread is in one. What begins after return does not call it.
   * After the grace period a task of the log's RCU takes what it has still to tell, stops it, and
   * makes its last call. A slot that is removed meanwhile is released after that. A second call
   * does nothing.
   */
  @Override
  void close();
}
