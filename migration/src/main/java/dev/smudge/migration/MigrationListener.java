package dev.smudge.migration;

/**
 * Follows the progress of a migration. The thread that migrates calls it often: it must be quick,
 * and an exception fails the migration.
 */
public interface MigrationListener {
  /** One that does nothing. */
  MigrationListener NONE = new MigrationListener() {};

  /** The phases of a migration. */
  enum Phase {
    /** Connected; the source asks the destination, and waits for its answer. */
    GREETING,
    /** Rounds, while the guest runs. */
    ROUNDS,
    /** The source waits until its guest has stopped. */
    STOPPING,
    /** The last pages, and the state of the machine. */
    LAST_ROUND,
    /** The check that the embedder has set with {@code check}. */
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
