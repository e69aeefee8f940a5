package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;

/**
 * Something besides vCPUs that writes guest memory and keeps a dirty log of its own: a vhost-like
 * device, a GPU, another process. Its bits reach every client. By default every method does
 * nothing.
 *
 * <p>The log of a slot begins with {@link #logStart}: from then on every write there is told by a
 * {@link #logSync} that begins after the write. What may be told already, and what is told whether
 * it was written or not, does no harm. A page that was told need not be told again before it is
 * cleared ({@link #logClear}); a source that tells of every write anew has nothing to clear.
 *
 * <p>Threads: every method but {@link #afterSync}, {@link #detach} and {@link #close} is called
 * under the collector lock, one at a time, by whatever thread collects. All but the last two are
 * called in a read-side section of {@link DirtyLog#rcu}. So none of them may wait for a vCPU, for
 * the grace period, or for a thread that collects; calls of the log and its clients are refused.
 * {@link SourceRegistration#close} is allowed. What a method throws goes to the error handler, but
 * for {@link #startLog}; the other sources are called.
 */
public interface DirtySource {
  /**
   * The first client is about to start, or the source was added while there are some: {@link
   * #logStart} of every slot follows. If it throws, those that were started are stopped again, last
   * one first; whoever was to start the client, or to add the source, gets the exception, and the
   * client, or the source, is not there.
   */
  default void startLog() {}

  /** The last client has ended; {@link #logStop} of every slot was called before. */
  default void stopLog() {}

  /**
   * Logs writes to a slot from here on. For a slot that is added this comes before the swap, so
   * before anybody can know of it. If it throws, every page of the slot is dirty for every client
   * at each fetch.
   *
   * @param slot slot
   */
  default void logStart(LogSlot slot) {}

  /**
   * Logs a slot no more. For a slot that was removed this comes after the grace period; until then
   * {@link #logSync} is called for it, so that nothing is lost of what is written until the source
   * is told of the change.
   *
   * @param slot slot
   */
  default void logStop(LogSlot slot) {}

  /**
   * Hands out pages that were written; called in every fetch. What is written after it has looked
   * is found by the next fetch. If it throws, what it has handed out counts, and it has to hand out
   * the rest the next time.
   *
   * @param slot slot
   * @param sink gets the words; for this call alone
   */
  default void logSync(LogSlot slot, PageWordConsumer sink) {}

  /**
   * Arms pages that this source has told of and that were not cleared since: the next write there
   * is to be told. Called before the barrier of a take. If it throws, the pages count as not
   * cleared: they are dirty for all clients again, so that the next take clears them.
   *
   * @param slot slot
   * @param firstPage first page of the range, a multiple of 64
   * @param pageCount pages of the range: a multiple of 64, or up to the end of the slot
   * @param bitmap bit n of it: clear page {@code firstPage + n}
   */
  default void logClear(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {}

  /**
   * Called after the barrier of a take, without a lock, before its pages are read: returns when
   * every write that is not told, because its page was not armed before this call, is visible. If
   * it throws, the pages are handed out, and are dirty for that client again.
   */
  default void afterSync() {}

  /**
   * The source was removed, and no other call is under way: it stops writing. A last {@link
   * #logSync} follows, and {@link #logStop} and {@link #stopLog} if it was started. By a task of
   * {@link Rcu#callRcu}, without a lock.
   */
  default void detach() {}

  /** The last call. Once; not if the source could not be added. As {@link #detach}. */
  default void close() {}
}
