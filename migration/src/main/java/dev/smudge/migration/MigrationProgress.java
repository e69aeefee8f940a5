package dev.smudge.migration;

/**
 * How far a migration is.
 *
 * @param round the round under way, from 1
 * @param roundBytes bytes of RAM that the round has to send
 * @param sentBytes bytes of RAM that have been sent, in all rounds
 * @param remainingBytes bytes of RAM that are left of this round; pages that the guest writes
 *     meanwhile count only when the round is over
 * @param bytesPerSecond bytes of RAM sent per second in the last rounds; 0 in the first
 * @param dirtyBytesPerSecond bytes per second that the guest made dirty before this round
 * @param downtimeMillis how long the guest would stand still if it were stopped for this round; 0
 *     in the first
 * @param limitBytesPerSecond the guest's dirty limit; {@code Long.MAX_VALUE}: none
 */
public record MigrationProgress(
    int round,
    long roundBytes,
    long sentBytes,
    long remainingBytes,
    double bytesPerSecond,
    double dirtyBytesPerSecond,
    double downtimeMillis,
    long limitBytesPerSecond) {
  /** {@return this round, further on: so much has been sent in all rounds} */
  MigrationProgress sent(long bytes) {
    return new MigrationProgress(
        round,
        roundBytes,
        bytes,
        Math.max(0, sentBytes + roundBytes - bytes),
        bytesPerSecond,
        dirtyBytesPerSecond,
        downtimeMillis,
        limitBytesPerSecond);
  }
}
