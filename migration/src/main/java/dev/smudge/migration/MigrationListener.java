package dev.smudge.migration;

/**
 * Is told how a migration goes. Called by the thread that migrates, often: it must be quick, and
 * what it throws fails the migration.
 */
public interface MigrationListener {
  /** One that does nothing. */
  MigrationListener NONE = new MigrationListener() {};

  /** What the migration is at. */
  enum Phase {
    /** Connected; the other end is asked, or awaited. */
    GREETING,
    /** Rounds, while the guest runs. */
    ROUNDS,
    /** The source waits until its guest has stopped. */
    STOPPING,
    /** The last pages, and the state of the machine. */
    LAST_ROUND,
    /** What the embedder added with {@code check}. */
    CHECKING,
    /** The guest is handed over. */
    HANDING_OVER
  }

  /**
   * A phase begins.
   *
   * @param phase which
   */
  default void phase(Phase phase) {}

  /**
   * More has been sent. Called at the begin of each round, and then about once per 256 KiB.
   *
   * @param progress how far it is
   */
  default void progress(MigrationProgress progress) {}

  /**
   * A round is over.
   *
   * @param round its figures
   */
  default void roundEnds(Round round) {}
}
