package dev.smudge.sync.internal.collect;

import dev.smudge.sync.verify.PageContent;
import org.jspecify.annotations.Nullable;

/**
 * What happens beside fetch, clear and barrier where writes are verified: the places at which
 * {@link WriteVerifier} looks. Where they are not verified, this does nothing more than the fetch.
 */
public class Verification {
  /** Pages that were armed at one moment; a barrier follows. */
  interface Armed {}

  final Collector collector;

  /** Makes one that verifies nothing. */
  public Verification(Collector collector) {
    this.collector = collector;
  }

  /**
   * Fetches, and looks for writes that were not reported. Under the lock.
   *
   * @param all whether a client takes everything right after; see {@link Collector#fetch(boolean)}
   * @param by whose call this is, for messages
   */
  void fetch(boolean all, Object by) {
    collector.fetch(all);
  }

  /** What the pages contain is known. Under the lock. */
  void content(PageContent known) {}

  /** A client is about to start. Throws if nothing could be verified. */
  void checkStart() {}

  /** After a clear, under the lock: what is armed now, and not known. */
  @Nullable Armed armed() {
    return null;
  }

  /** The barrier that followed is over. Without the lock. */
  void barrierPassed(@Nullable Armed armed) {}

  /** There was no barrier, or it is over. Under the lock. A second call does nothing. */
  void drop(@Nullable Armed armed) {}

  /** The last client has ended: nothing is armed. Under the lock. */
  void stopLog() {}

  /** The log is closed, and all its clients. The last call. */
  void close() {}

  /**
   * Before a client ends, or the log: looks once more for what the last take has suspected, if
   * nobody is left who would take. Without the lock; waits for the barrier.
   *
   * @param leaving the client; null: all
   */
  public void lastLook(@Nullable ClientView leaving) {}
}
