package dev.smudge.sync.embed;

/**
 * Whether an error has kept the embedder from marking what has landed in its RAM. Whoever finds no
 * stack or no memory for a mark can say at least that, since it takes a store and no call. Then the
 * next call under the collector lock makes every page dirty for every client. From any thread.
 */
public final class Doubt {
  /** Set by whoever has not marked what it has written, after the write. */
  public volatile boolean set;

  /** Makes one that is not set. */
  public Doubt() {}

  /** {@return whether it was set; it is not after that} */
  boolean take() {
    boolean was = set; // H4
    if (was) {
      set = false; // a write that lands after this sets it again
    }
    return was;
  }
}
