package dev.smudge.examples;

import dev.smudge.migration.DirtyRateReport;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.Round;
import dev.smudge.sync.DirtyCounters;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The table at the end of a migration, and the lines below it. */
final class Report {
  private static final int HEAD = 6;
  private static final int TAIL = 4;
  private static final String LINE = "%9s %10s %10s %9s %14s %12s%n";

  private Report() {}

  /** The rounds; of many, the first and the last ones. */
  static void rounds(PrintStream out, List<Round> rounds) {
    if (rounds.isEmpty()) {
      return;
    }
    out.println();
    out.printf(
        Locale.ROOT, LINE, "round", "pages", "MiB sent", "ms", "dirty pages/s", "barrier us");
    int count = rounds.size();
    for (int i = 0; i < count; i++) {
      if (count > HEAD + TAIL + 1 && i == HEAD) {
        i = count - TAIL;
        line(out, "... " + (i - HEAD), rounds.subList(HEAD, i));
      }
      Round round = rounds.get(i);
      line(out, round.last() ? "last" : String.valueOf(round.number()), rounds.subList(i, i + 1));
    }
    line(out, "in all", rounds);
    out.println();
  }

  private static void line(PrintStream out, String name, List<Round> rounds) {
    long pages = rounds.stream().mapToLong(Round::pages).sum();
    // What the first round takes was written before the migration began, over who knows how long.
    List<Round> later = rounds.stream().filter(round -> round.number() > 1).toList();
    long dirtied = later.stream().mapToLong(Round::pages).sum();
    long since = later.stream().mapToLong(Round::sinceNanos).sum();
    long bytes = rounds.stream().mapToLong(Round::streamBytes).sum();
    long nanos = rounds.stream().mapToLong(Round::nanos).sum();
    long barrier = rounds.stream().mapToLong(Round::barrierNanos).sum();
    out.printf(
        Locale.ROOT,
        LINE,
        name,
        String.format(Locale.ROOT, "%,d", pages),
        String.format(Locale.ROOT, "%,.2f", bytes / (double) (1 << 20)),
        String.format(Locale.ROOT, "%,.2f", nanos / 1e6),
        since == 0 ? "" : String.format(Locale.ROOT, "%,.0f", dirtied * 1e9 / since),
        String.format(Locale.ROOT, "%,.1f", barrier / 1e3));
  }

  /** What became of the dirty rings. */
  static void rings(PrintStream out, int entries, DirtyCounters counters, long waits) {
    fact(
        out,
        "dirty rings",
        String.format(
            Locale.ROOT,
            "of %,d entries: %,d pages harvested, %,.1f entries a reset; a vCPU waited for room"
                + " %,d times, %,d pages had none and went to the bitmap",
            entries,
            counters.ringEntries(),
            (double) counters.ringEntries() / Math.max(1, counters.ringResets()),
            waits,
            counters.ringSpills()));
  }

  /** How long the guest stood still, and how long it took to come to that. */
  static void downtime(PrintStream out, MigrationResult result) {
    fact(
        out,
        "downtime",
        String.format(
            Locale.ROOT,
            "%.2f ms, from the guest's stop here until it ran there: %.2f ms for the last round and"
                + " the guest's state, %.2f ms for the hand-over",
            result.downtimeNanos() / 1e6,
            result.lastRoundNanos() / 1e6,
            (result.downtimeNanos() - result.lastRoundNanos()) / 1e6));
    fact(
        out,
        "time to stop",
        String.format(
            Locale.ROOT,
            "%.2f ms, from the request until the guest had stopped: it runs meanwhile, to the end"
                + " of its call",
            result.stopNanos() / 1e6));
  }

  /** How far the guest's writes were limited. */
  static void throttle(PrintStream out, long bytesPerSecond) {
    fact(
        out,
        "throttled",
        String.format(
            Locale.ROOT,
            "to %,d KiB of dirty pages per second at last, until the guest was stopped",
            bytesPerSecond >> 10));
  }

  /** What is to be expected of a migration at some speed. */
  static void dirtyRate(PrintStream out, DirtyRateReport report, long speed, Duration goal) {
    fact(out, "dirty rate", report.toString());
    fact(
        out,
        "estimate",
        String.format(
            Locale.ROOT, "at %,d KiB/s it %s", speed >> 10, report.estimate(speed, goal)));
  }

  /** One fact. */
  static void fact(PrintStream out, String name, String text) {
    out.printf(Locale.ROOT, "%-20s %s%n", name, text);
  }

  static void verdict(PrintStream out, String name, @Nullable Verdict verdict) {
    fact(
        out,
        name,
        verdict == null ? "not known" : (verdict.verified() ? "" : "WRONG: ") + verdict.text());
  }

  /** The last line: yes, NO, not moved, or not known. */
  static void verified(PrintStream out, String answer) {
    fact(out, "verified", answer);
  }
}
