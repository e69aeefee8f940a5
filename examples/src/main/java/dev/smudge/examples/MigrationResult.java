package dev.smudge.examples;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How a migration went, as the source knows it. Filled in as it goes. */
final class MigrationResult {
  /** Where the guest is. */
  enum End {
    /** At the source: it was not handed over, and runs on there. */
    STAYED,
    /** At the destination, which said so. */
    HANDED_OVER,
    /**
     * Not known: the destination was told to run it, and the connection was lost before it said
     * that it does. The source keeps its guest stopped, since two must not run.
     */
    IN_DOUBT
  }

  final List<Round> rounds = new ArrayList<>();
  End end = End.STAYED;

  /** Why it failed; null if it did not. */
  @Nullable Exception failure;

  /** Null if it did not come to that. */
  @Nullable Comparison comparison;

  /** What the destination found out about the output; null if it did not say. */
  @Nullable Verdict destination;

  /** Pages that were dirty when the guest was asked to stop, as far as was known. */
  long pagesLeft;

  double estimatedDowntimeMillis;

  /** From the request to stop until the destination runs, without the comparison; 0: not done. */
  long downtimeNanos;

  /** Of the downtime: until the guest had stopped. */
  long stopNanos;

  /** Of the downtime: the last round. */
  long lastRoundNanos;

  long comparisonNanos;
  long bytes;
}
