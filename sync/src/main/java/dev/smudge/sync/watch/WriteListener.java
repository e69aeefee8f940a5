package dev.smudge.sync.watch;

/** What a watch calls at a write. */
@FunctionalInterface
public interface WriteListener {
  /**
   * Watched memory was written. The write has landed and is marked; the writer goes on when this
   * returns. It is called by the thread that wrote: by that of a vCPU, which is online; or by that
   * of a device or a client, in a read-side section perhaps ({@code DirtyLog.rcu}), where it must
   * not wait for a grace period or change slots. Several threads may call it at once. Where a
   * device's tracker marks inside a call under the collector lock, the listener runs under that
   * lock: it may not arm, open or close a watch there, nor take, and each of these says so.
   *
   * <p>It may read and write guest memory (what it writes to memory of the same watch is not told),
   * arm pages, take pages, and open and close watches. If it throws, its exception comes out of the
   * writer's call; the write stays made and marked, other watches are told of it, and the pages of
   * a page watch stay armed.
   *
   * <p>Where the writer's call ends with an error of its own (its stack or its memory ends, or RAM
   * has a fault), what has landed is marked, and need not have been told: whoever catches such an
   * error has to count the write as told.
   *
   * @param at where the write begins: an offset in the slot in bytes (or in the embedder's units),
   *     or a guest address if the watch is that of a {@code GuestMemory}
   * @param length bytes (or units) that were written from there on, 1 or more: those of the whole
   *     write, also where only some are watched; a write that goes over the border of two slots is
   *     told for each
   */
  void written(long at, long length);
}
