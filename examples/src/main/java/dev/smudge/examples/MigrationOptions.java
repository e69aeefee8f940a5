package dev.smudge.examples;

import dev.smudge.sync.tracker.Tracker;
import java.time.Duration;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The options that say how to migrate, whatever the guest. */
final class MigrationOptions {
  /** Rounds without the barrier, unless a number is given: each may lose a page. */
  private static final int BROKEN_ROUNDS = 1000;

  private static final int MAX_ROUNDS = 30;

  @Spec(Spec.Target.MIXEE)
  private @Nullable CommandSpec spec;

  private long timeoutMillis = 10_000;
  private int streams = 1;
  private long warmUpMillis = -1; // not given
  private long threshold = 64;
  private long maxDowntimeMillis = 5;
  private int minRounds = 1;
  private int maxRounds; // 0: not given
  private long dirtyRate; // 0: not asked for
  private long throttle; // 0: not given

  private Values values(String option) {
    return new Values(spec, option);
  }

  @Option(
      names = "--timeout",
      order = 42,
      paramLabel = "MILLISECONDS",
      description =
          "Give up when the other end is silent for this time, 100 to 600000. A destination waits"
              + " longer while the source boots its guest. Default: 10000.")
  void setTimeout(String value) {
    timeoutMillis = values("--timeout").number(value, 100, 600_000);
  }

  @Option(
      names = "--streams",
      order = 43,
      paramLabel = "1..64",
      description =
          "Divide the pages between this many connections, each with a thread at both ends. With"
              + " --listen: how many the source makes. Default: 1.")
  void setStreams(String value) {
    streams = (int) values("--streams").number(value, 1, 64);
  }

  @Option(
      names = "--compress",
      order = 44,
      description =
          "Compress pages. It pays if the connection is slower than a processor compresses.")
  private boolean compress;

  @Option(
      names = "--warm-up",
      order = 50,
      paramLabel = "MILLISECONDS",
      description =
          "How long the guest runs before the first round, 0 to 600000. Default: 3000,"
              + " native and kvm 500.")
  void setWarmUp(String value) {
    warmUpMillis = values("--warm-up").number(value, 0, 600_000);
  }

  @Option(
      names = "--threshold",
      order = 51,
      paramLabel = "PAGES",
      description = "Stop the guest when at most this many pages are dirty. Default: 64.")
  void setThreshold(String value) {
    threshold = values("--threshold").number(value, 0, Long.MAX_VALUE);
  }

  @Option(
      names = "--max-downtime",
      order = 52,
      paramLabel = "MILLISECONDS",
      description =
          "Also stop it when the rest can probably be sent within this time, 0 to 60000. Default:"
              + " 5.")
  void setMaxDowntime(String value) {
    maxDowntimeMillis = values("--max-downtime").number(value, 0, 60_000);
  }

  @Option(
      names = "--max-rounds",
      order = 53,
      paramLabel = "1..10000000",
      description = "Also stop it after this many rounds, whatever is left. Default: 30.")
  void setMaxRounds(String value) {
    maxRounds = (int) values("--max-rounds").number(value, 1, 10_000_000);
  }

  @Option(
      names = "--min-rounds",
      order = 54,
      paramLabel = "1..10000000",
      description = "Do not stop it before this many rounds. Default: 1.")
  void setMinRounds(String value) {
    minRounds = (int) values("--min-rounds").number(value, 1, 10_000_000);
  }

  @Option(
      names = "--throttle",
      order = 55,
      paramLabel = "BYTES",
      description =
          "If the rounds do not become smaller, limit how fast the guest makes pages dirty, from"
              + " the third round on and in steps, but to no less than this many bytes per second,"
              + " such as 1M. With --backend software. Default: no limit.")
  void setThrottle(String value) {
    throttle = values("--throttle").size(value, 1 << 12, 1L << 40);
  }

  @Option(
      names = "--dirty-rate",
      order = 56,
      paramLabel = "BYTES",
      description =
          "Measure how fast the guest makes pages dirty before it is migrated, and say what to"
              + " expect of a connection of this many bytes per second, such as 100M: how long the"
              + " migration takes, and whether it converges; if not, how far the guest's writes"
              + " have to be limited.")
  void setDirtyRate(String value) {
    dirtyRate = values("--dirty-rate").size(value, 1 << 20, 1L << 40);
  }

  /** {@return an option that was given and is for the source alone, or null} */
  @Nullable String sourceGiven() {
    return compress ? "--compress" : dirtyRate != 0 ? "--dirty-rate" : throttleGiven();
  }

  /** {@return the option that limits writes, if it was given, or null} */
  @Nullable String throttleGiven() {
    return throttle == 0 ? null : "--throttle";
  }

  void setDefaultWarmUp(long millis) {
    warmUpMillis = warmUpMillis < 0 ? millis : warmUpMillis;
  }

  /** Has many rounds where no number is given. */
  void showLosses() {
    minRounds =
        Math.max(minRounds, Math.min(maxRounds == 0 ? BROKEN_ROUNDS : maxRounds, BROKEN_ROUNDS));
  }

  /** {@return all that is set here, and the rest} */
  MigrationRun.Settings settings(
      int ring, UnaryOperator<Tracker> defect, boolean allOutput, Progress.Style progress) {
    return new MigrationRun.Settings(
        minRounds,
        Math.max(minRounds, maxRounds == 0 ? MAX_ROUNDS : maxRounds),
        threshold,
        Duration.ofMillis(maxDowntimeMillis),
        streams,
        compress,
        dirtyRate,
        throttle,
        Duration.ofMillis(Math.max(0, warmUpMillis)),
        Duration.ofMillis(timeoutMillis),
        ring,
        defect,
        allOutput,
        progress);
  }
}
