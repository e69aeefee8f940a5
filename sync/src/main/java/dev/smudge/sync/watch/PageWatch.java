package dev.smudge.sync.watch;

/**
 * A watch of pages: calls its listener at the first write to a page since the page was armed. A
 * page stays armed until the listener has returned, so a write by another vCPU meanwhile calls the
 * listener too. The listener must expect to be called more than once.
 */
public interface PageWatch extends WriteWatch {
  /**
   * Arms the pages of a range. After this returns, the next write to any of them, by any thread,
   * calls the listener; and if this thread now reads the pages, it sees every write that did not
   * call the listener.
   *
   * <p>This is a barrier: it waits until every other vCPU has passed a safepoint or is offline, and
   * is a safepoint of the caller's own vCPU, if the caller is one. If possible, arm several pages
   * in one call. In a log made by {@code buildStopped} nothing writes meanwhile, as in a take.
   *
   * @param at where the range begins: an offset in the slot, or a guest address if the watch is
   *     that of a {@code GuestMemory}
   * @param length bytes (or units), 0 or more; 0 arms nothing
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is armed
   * @throws IllegalStateException if the watch has ended, or ends while this waits; or if this is
   *     called under the collector lock, by a device's tracker or by a listener that a mark of its
   *     has called: nothing is armed then
   * @throws dev.smudge.sync.error.VcpuTimeoutException if a vCPU does not reach a safepoint in
   *     time; the pages may be armed or not, as after everything else that is thrown here
   * @throws dev.smudge.sync.error.VcpuException if it is called inside an arm callback
   */
  void arm(long at, long length);
}
