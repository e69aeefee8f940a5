package dev.smudge.migration;

import java.io.IOException;

/** What a migration asks of the guest that it moves away. Called by the thread that migrates. */
public interface MigratingGuest {
  /**
   * Stops the guest: when this returns, all that it wrote is in RAM and marked, its vCPUs are
   * offline, and nothing writes until {@link #start}. A guest that has ended is stopped already.
   *
   * @throws IOException if the guest has failed; the migration fails with it, and {@link #start} is
   *     called
   * @throws InterruptedException if the thread is interrupted; likewise
   */
  void stop() throws IOException, InterruptedException;

  /**
   * Lets the guest go on here, because it does not move. Also called after a {@link #stop} that
   * threw, so it does nothing if the guest runs.
   */
  void start();

  /**
   * Limits how fast the guest makes pages dirty, all vCPUs together. The default does nothing, and
   * then throttling has no effect. One that calls {@code Vcpu.limitDirtyRate} divides by the number
   * of vCPUs.
   *
   * @param bytesPerSecond more than 0; {@code Long.MAX_VALUE}: no limit any more
   */
  default void limitDirtyRate(long bytesPerSecond) {}

  /**
   * Is called before each round, to end a migration of a guest that has failed. The default does
   * nothing.
   *
   * @throws IOException if the guest has failed; the migration fails with it
   */
  default void check() throws IOException {}
}
