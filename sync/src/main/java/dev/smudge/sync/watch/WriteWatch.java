package dev.smudge.sync.watch;

/**
 * A watch of writes to a slot. It costs each write to a page that is watched some tens of
 * nanoseconds, and others nothing. From any thread.
 */
public interface WriteWatch extends AutoCloseable {
  /**
   * {@return whether nothing is told any more: because the watch was closed, its slot was removed
   * or replaced by a change of the slots, or its log was closed} A vCPU finds out in its arm
   * callback, which runs after each change that takes a slot away; then make another.
   */
  boolean isEnded();

  /**
   * Ends the watch. A thread that is in the listener goes on, and one that has just written may
   * still call it. A second call does nothing.
   *
   * @throws IllegalStateException if a device's tracker does it inside a call under the collector
   *     lock, or a listener that a mark of its has called; nothing is changed
   */
  @Override
  void close();
}
