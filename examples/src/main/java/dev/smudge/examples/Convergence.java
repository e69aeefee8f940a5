package dev.smudge.examples;

import java.util.List;

/**
 * When to stop the guest: as soon as the rest is small, or would be sent fast enough, or when
 * further rounds are not worth it.
 *
 * @param minRounds rounds while the guest runs, at least
 * @param maxRounds rounds while the guest runs, at most; the guest is stopped then whatever is left
 * @param thresholdPages so few dirty pages are left to the last round
 * @param maxDowntimeMillis a last round that is expected to take no longer is begun
 */
record Convergence(int minRounds, int maxRounds, long thresholdPages, double maxDowntimeMillis) {
  static final Convergence DEFAULT = new Convergence(1, 30, 64, 5);

  private static final int RECENT = 3;

  /** Whether the rest is for the last round. */
  boolean isReached(List<Round> rounds, long pagesLeft, double downtimeMillis) {
    int done = rounds.size();
    return done >= minRounds
        && (done >= maxRounds
            || pagesLeft <= thresholdPages
            || downtimeMillis <= maxDowntimeMillis);
  }

  /** {@return how long sending so many pages will take, at the speed of the last rounds} */
  static double downtimeMillis(List<Round> rounds, long pagesLeft) {
    List<Round> last = rounds.subList(Math.max(0, rounds.size() - RECENT), rounds.size());
    long pages = last.stream().mapToLong(Round::pages).sum();
    long nanos = last.stream().mapToLong(Round::nanos).sum();
    return pages == 0 ? 0 : nanos / 1e6 / pages * pagesLeft;
  }
}
