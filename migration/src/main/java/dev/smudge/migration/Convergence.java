package dev.smudge.migration;

import java.util.List;

/**
 * When to stop the guest, and when to throttle it.
 *
 * @param minRounds rounds while the guest runs, at least
 * @param thresholdPages so few dirty pages are left to the last round
 * @param downtimeMillis a last round that is expected to take no longer is begun
 */
record Convergence(int minRounds, long thresholdPages, double downtimeMillis) {
  private static final int RECENT = 3;

  /** Rounds that are given to the guest before it is throttled. */
  private static final int PATIENCE = 2;

  /** Whether the rest is for the last round. */
  boolean isReached(List<Round> rounds, long pagesLeft, long bytesLeft) {
    return rounds.size() >= minRounds
        && !rounds.isEmpty()
        && (pagesLeft <= thresholdPages || millisToSend(rounds, bytesLeft) <= downtimeMillis);
  }

  /**
   * {@return the limit of bytes per second that the guest should get}
   *
   * @param bytesLeft what is dirty after the last round, which is not few enough
   * @param limit the limit so far
   * @param least the lowest limit
   */
  static long limit(
      List<Round> rounds, long bytesLeft, long limit, long least, double dirtyPerSecond) {
    if (rounds.size() < PATIENCE) {
      return limit;
    }
    long before = rounds.get(rounds.size() - 1).ramBytes();
    if (bytesLeft * 2 <= before) {
      return limit; // it is getting less, fast enough
    }
    double now = Math.min((double) limit, Math.min(dirtyPerSecond, bytesPerSecond(rounds)));
    return Math.max(least, (long) (now / 2));
  }

  /** {@return how fast the last rounds were sent; 0: there are none} */
  static double bytesPerSecond(List<Round> rounds) {
    List<Round> last = rounds.subList(Math.max(0, rounds.size() - RECENT), rounds.size());
    long bytes = last.stream().mapToLong(Round::ramBytes).sum();
    long nanos = last.stream().mapToLong(Round::nanos).sum();
    return bytes == 0 ? 0 : bytes * 1e9 / Math.max(1, nanos);
  }

  /** {@return how long sending so many bytes will take, at the speed of the last rounds} */
  static double millisToSend(List<Round> rounds, long bytes) {
    double speed = bytesPerSecond(rounds);
    return speed == 0 ? 0 : bytes * 1e3 / speed;
  }
}
