package dev.smudge.sync.watch;

/** Called by a watch at a write. */
@FunctionalInterface
public interface WriteListener {
  /**
   * Watched memory was written. The write has landed and is marked; the writer goes on when this
   * returns. The thread that wrote calls it: the thread of a vCPU, which is online; or that of a
   * device or a client, perhaps in a read-side section ({@code DirtyLog.rcu}), where it must not
   * wait for a grace period or change slots. Several threads may call it at once. If a device's
   * tracker marks inside a call under the collector lock, the listener runs under that lock: there
   * it may not arm, open or close a watch, nor take, and each of these calls throws.
   *
   * <p>It may read and write guest memory (its writes to memory of the same watch do not call it),
   * arm pages, take pages, and open and close watches. If it throws, its exception comes out of the
   * writer's call; the write stays made and marked, other watches are called, and the pages of a
   * page watch stay armed.
   *
   * <p>If the writer's call itself ends with an error (a stack overflow, no memory, a fault of
   * RAM), the bytes that have landed are marked, but the listener may not have been called. Code
   * that catches such an error has to act as if the listener was called.
   *
   * @param at where the write begins: an offset in the slot in bytes (or in the embedder's units),
   *     or a guest address if the watch is that of a {@code GuestMemory}
   * @param length bytes (or units) of the whole write, 1 or more, even if only some of them are
   *     watched; a write across the border of two slots calls the watches of each slot with its
   *     part
   */
  void written(long at, long length);
}
