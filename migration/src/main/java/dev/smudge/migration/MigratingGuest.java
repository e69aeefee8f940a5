package dev.smudge.migration;

import java.io.IOException;

/** Controls the guest for a migration. The thread that migrates calls it. */
public interface MigratingGuest {
  /**
   * Stops the guest. When this returns, all its writes are in RAM and marked, its vCPUs are
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
   * then throttling has no effect. To implement it with {@code Vcpu.limitDirtyRate}, divide by the
   * number of vCPUs.
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
