package dev.smudge.examples;

/**
 * A finished round of a migration.
 *
 * @param number from 1
 * @param pages dirty pages that it took and sent
 * @param bytes that it put into the stream
 * @param nanos from the take until all was handed to the connection
 * @param barrierNanos of those, in the barrier
 * @param sinceNanos from the take before until this one; for the first, from the guest's start
 * @param last whether the guest was stopped
 */
record Round(
    int number,
    long pages,
    long bytes,
    long nanos,
    long barrierNanos,
    long sinceNanos,
    boolean last) {
  /** {@return pages that became dirty, a second} */
  double dirtyPagesPerSecond() {
    return pages * 1e9 / Math.max(1, sinceNanos);
  }
}
