package dev.smudge.examples;

/** Is told how a migration goes. Called by the thread that migrates, often: must be quick. */
interface MigrationListener {
  /** One that does nothing. */
  MigrationListener NONE = new MigrationListener() {};

  /** A step begins. */
  default void phase(String what) {}

  /** A round begins, with so many pages to send. */
  default void roundBegins(int number, long pages) {}

  /** So many more pages of the round were sent. */
  default void sent(long pages) {}

  /** A round is over; then so many pages are dirty, which would take so long to send. */
  default void roundEnds(Round round, long pagesLeft, double downtimeMillis) {}

  /** The destination runs and has printed so many lines. */
  default void destinationRuns(long lines) {}
}
