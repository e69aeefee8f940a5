package dev.smudge.examples;

import dev.smudge.migration.MigrationException;
import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import java.io.PrintStream;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What became of a migration, as the source knows it when the guest has ended somewhere.
 *
 * @param source the source, closed
 * @param result how the migration went
 * @param output what the source printed, compared with an uninterrupted run
 * @param afterwards what the destination says of its part; null if it did not say
 * @param failure of the migration, or of the connection after it; null: none
 */
record Outcome(
    Source source,
    MigrationResult result,
    Verdict output,
    @Nullable Verdict afterwards,
    @Nullable Exception failure) {
  private boolean isVerified() {
    return result.end() == End.HANDED_OVER
        && failure == null
        && output.verified()
        && afterwards != null
        && afterwards.verified()
        && source.lateWrites().isEmpty();
  }

  /** Whether something was found to be wrong with what was moved, or with what stayed. */
  private boolean isWrong() {
    return result.end() == End.HANDED_OVER
        || failure instanceof Source.LostWritesException
        || !output.verified()
        || !source.lateWrites().isEmpty();
  }

  /** {@return the exit status} */
  int status() {
    return isVerified()
        ? MigrationRun.VERIFIED
        : isWrong() ? MigrationRun.NOT_VERIFIED : MigrationRun.FAILED;
  }

  /** Prints the facts below the table of rounds, of which the last says whether all is well. */
  void print(PrintStream out, PrintStream err, int ring) {
    if (result.downtimeNanos() > 0) {
      Report.downtime(out, result);
    }
    if (result.limitBytesPerSecond() != Long.MAX_VALUE) {
      Report.throttle(out, result.limitBytesPerSecond());
    }
    if (ring != 0) {
      Report.rings(out, ring, source.memory().log().counters(), source.ringFullWaits());
    }
    Comparison comparison = source.comparison();
    if (comparison != null) {
      Report.fact(
          out,
          "RAM at switch-over",
          comparison
              + String.format(Locale.ROOT, " (%.0f ms, not counted)", result.checkNanos() / 1e6));
    }
    boolean stayed = result.end() == End.STAYED;
    Report.verdict(out, stayed ? "output" : "output before", output);
    if (result.end() == End.HANDED_OVER) {
      if (source.guest().completion().isDone()) {
        Report.fact(out, "note", "the program had ended when it moved: let it run for longer");
      }
      Report.verdict(out, "output afterwards", afterwards);
    }
    Report.verified(
        out, isVerified() ? "yes" : isWrong() ? "NO" : stayed ? "not moved" : "not known");
    out.flush();
    source.lateWrites().forEach(e -> err.println("after the stop: " + e.getMessage()));
    if (failure != null) {
      err.println(explain() + reason(failure));
    }
  }

  private String explain() {
    return switch (result.end()) {
      case STAYED -> "the guest stayed at the source and ran on there: ";
      case HANDED_OVER -> "handed over, but what became of it is not known: ";
      case IN_DOUBT ->
          "the connection was lost at the hand-over: the destination may run the guest, so it stays"
              + " stopped here: ";
    };
  }

  /** {@return the message of an exception, and what the other end has said} */
  static String reason(Exception e) {
    String reason = e.getMessage() == null ? e.toString() : e.getMessage();
    for (Throwable more : e.getSuppressed()) {
      if (more instanceof MigrationException known && known.fault() == Fault.PEER_GAVE_UP) {
        return reason + "; " + known.getMessage();
      }
    }
    return reason;
  }
}
