package dev.smudge.migration;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How a migration went, as the source knows it. */
public final class MigrationResult {
  /** Where the guest is. */
  public enum End {
    /** At the source: it was not handed over, and runs on there. No write is lost. */
    STAYED,
    /** At the destination, which has confirmed it. */
    HANDED_OVER,
    /**
     * Not known: the destination was told to run the guest, and the connection was lost before it
     * confirmed. The source keeps its guest stopped, because the guest must not run twice.
     */
    IN_DOUBT
  }

  final List<Round> rounds = new ArrayList<>();
  End end = End.STAYED;
  @Nullable Exception failure;
  double estimatedDowntimeMillis;
  long bytesLeft;
  long limit = Long.MAX_VALUE;
  long stopNanos;
  long lastRoundNanos;
  long downtimeNanos;
  long checkNanos;

  MigrationResult() {}

  /** {@return where the guest is} */
  public End end() {
    return end;
  }

  /**
   * Returns why the migration failed. If a connection broke, what the other end said before that is
   * among the suppressed exceptions.
   *
   * @return the first error; null if it did not fail
   */
  public @Nullable Exception failure() {
    return failure;
  }

  /** {@return the rounds that were sent completely, the last one with the guest stopped} */
  public List<Round> rounds() {
    return List.copyOf(rounds);
  }

  /** {@return bytes that the rounds put into the connections} */
  public long streamBytes() {
    return rounds.stream().mapToLong(Round::streamBytes).sum();
  }

  /** {@return bytes of RAM that were dirty when it was decided to stop the guest} */
  public long bytesLeft() {
    return bytesLeft;
  }

  /** {@return the downtime that was expected when it was decided to stop the guest} */
  public double estimatedDowntimeMillis() {
    return estimatedDowntimeMillis;
  }

  /** {@return the lowest dirty limit that the guest had; {@code Long.MAX_VALUE}: none} */
  public long limitBytesPerSecond() {
    return limit;
  }

  /**
   * {@return how long the guest took to stop after it was asked to, in nanoseconds; not part of the
   * downtime, because the guest may still run in that time}
   */
  public long stopNanos() {
    return stopNanos;
  }

  /**
   * {@return nanoseconds from the moment at which the guest had stopped until the destination
   * confirmed that it runs, without the check; 0 if it did not get that far}
   */
  public long downtimeNanos() {
    return downtimeNanos;
  }

  /** {@return the part of the downtime that the last round took, in nanoseconds} */
  public long lastRoundNanos() {
    return lastRoundNanos;
  }

  /** {@return nanoseconds that the check took, which are not counted as downtime} */
  public long checkNanos() {
    return checkNanos;
  }

  @Override
  public String toString() {
    return "MigrationResult["
        + end
        + ", rounds "
        + rounds.size()
        + ", bytes "
        + streamBytes()
        + (failure == null ? "" : ", " + failure)
        + "]";
  }
}
