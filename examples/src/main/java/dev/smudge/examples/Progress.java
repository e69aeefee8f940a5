package dev.smudge.examples;

import dev.smudge.migration.MigrationListener;
import dev.smudge.migration.MigrationProgress;
import dev.smudge.migration.Round;
import java.io.PrintStream;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * Shows how a migration goes: as one bar on a terminal, which is full when the last page was sent;
 * as lines elsewhere, or not at all.
 */
final class Progress implements MigrationListener, AutoCloseable {
  /** How to show it. */
  enum Style {
    BAR,
    LINES,
    NONE
  }

  private static final int WIDTH = 110;
  private static final int KIB = 1024;

  /** Every round of the first few has a line; then one is printed so often. */
  private static final int FIRST_ROUNDS = 5;

  private static final long ROUND_NANOS = TimeUnit.MILLISECONDS.toNanos(500);
  private static final long WAITING_NANOS = TimeUnit.SECONDS.toNanos(3);

  private final PrintStream out;
  private final Style style;
  private @Nullable ProgressBar bar;
  private long lastLine;
  private long destinationLines;
  private long lastChange;
  private boolean waiting;

  Progress(PrintStream out, Style style) {
    this.out = out;
    this.style = style;
  }

  /** Something begins that is no part of the migration's own work. */
  void phase(String what) {
    closeBar();
    if (style != Style.NONE) {
      out.println(what);
    }
  }

  @Override
  public void phase(Phase phase) {
    switch (phase) {
      case GREETING -> {}
      case ROUNDS -> phase("pages move while the guest runs");
      case STOPPING -> stage("stopping the guest");
      case LAST_ROUND -> stage("the guest has stopped");
      case CHECKING -> phase("comparing RAM");
      case HANDING_OVER -> {
        phase("handing over");
        lastChange = System.nanoTime();
      }
    }
  }

  /** Something begins while pages move. */
  private void stage(String what) {
    ProgressBar shown = bar;
    if (shown == null) {
      phase(what);
    } else {
      shown.setExtraMessage(what);
    }
  }

  @Override
  public void progress(MigrationProgress progress) {
    if (style != Style.BAR || progress.roundBytes() == 0) {
      return;
    }
    ProgressBar shown = bar;
    if (shown == null) {
      shown =
          new ProgressBarBuilder()
              .setTaskName("RAM")
              .setInitialMax(progress.roundBytes())
              .setStyle(ProgressBarStyle.ASCII)
              .setUnit(" KiB", KIB)
              .setUpdateIntervalMillis(100)
              .setConsumer(new ConsoleProgressBarConsumer(out, WIDTH))
              .build();
      bar = shown;
    }
    shown.maxHint(progress.sentBytes() + progress.remainingBytes());
    shown.stepTo(progress.sentBytes());
  }

  @Override
  public void roundEnds(Round round) {
    ProgressBar shown = bar;
    if (shown != null) {
      shown.stepTo(shown.getMax()); // of several streams, all have sent
      if (!round.last()) {
        shown.setExtraMessage(
            String.format(Locale.ROOT, "round %,d: %,d pages", round.number(), round.pages()));
      }
    } else if (style == Style.LINES && (round.last() || isTimeForRound(round.number()))) {
      out.printf(
          Locale.ROOT,
          "%s: sent %,d pages in %,.1f ms%n",
          round.last() ? "last round" : String.format(Locale.ROOT, "round %,d", round.number()),
          round.pages(),
          round.nanos() / 1e6);
    }
  }

  private boolean isTimeForRound(int round) {
    long now = System.nanoTime();
    if (round > FIRST_ROUNDS && now - lastLine < ROUND_NANOS) {
      return false;
    }
    lastLine = now;
    return true;
  }

  /** The destination runs and has printed so many lines. Called several times per second. */
  void destinationRuns(long lines) {
    long now = System.nanoTime();
    if (style == Style.NONE || now - lastChange < WAITING_NANOS) {
      return;
    }
    lastChange = now;
    if (lines != destinationLines) {
      destinationLines = lines;
      out.printf(Locale.ROOT, "the destination has printed %,d lines%n", lines);
    } else if (!waiting) {
      waiting = true;
      out.println("waiting for the guest's end, or for the check against an uninterrupted run");
    }
  }

  private void closeBar() {
    ProgressBar shown = bar;
    bar = null;
    if (shown != null) {
      shown.close();
    }
  }

  @Override
  public void close() {
    closeBar();
  }
}
