package dev.smudge.migration;

/**
 * A finished round of a migration.
 *
 * @param number from 1
 * @param pages dirty pages that it took and sent
 * @param ramBytes bytes of RAM that these pages have
 * @param streamBytes bytes that it put into the connections
 * @param nanos from the take until all pages were handed to the connections
 * @param barrierNanos the part of those nanoseconds that the barrier took
 * @param sinceNanos from the previous take until this one; for the first round, from the start of
 *     the migration
 * @param last whether the guest was stopped
 */
public record Round(
    int number,
    long pages,
    long ramBytes,
    long streamBytes,
    long nanos,
    long barrierNanos,
    long sinceNanos,
    boolean last) {
  /** {@return pages that became dirty, per second} */
  public double dirtyPagesPerSecond() {
    return pages * 1e9 / Math.max(1, sinceNanos);
  }

  /** {@return bytes of RAM that became dirty, per second} */
  public double dirtyBytesPerSecond() {
    return ramBytes * 1e9 / Math.max(1, sinceNanos);
  }
}
