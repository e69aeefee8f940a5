package dev.smudge.sync.watch;

/**
 * A watch of writes to a slot. It costs each write to a watched page some tens of nanoseconds, and
 * other writes nothing. From any thread.
 */
public interface WriteWatch extends AutoCloseable {
  /**
   * {@return whether the listener is no longer called, because the watch was closed, its slot was
   * removed or replaced by a change of the slots, or its log was closed} A vCPU can check this in
   * its arm callback, which runs after each change that takes a slot away; then make another watch.
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
