package dev.smudge.sync;

/** What a client sees as dirty when it starts. */
public enum InitialView {
  /**
   * Every page, because the client has seen none yet. Costs nothing; pages are armed as they are
   * taken.
   */
  ALL_DIRTY,
  /**
   * No page, because the client knows them all. Arms every page that is not armed yet, and ends
   * with a barrier.
   */
  NONE_DIRTY
}
