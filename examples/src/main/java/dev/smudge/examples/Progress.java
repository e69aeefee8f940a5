package dev.smudge.examples;

import java.io.PrintStream;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** Shows how a migration goes: as a bar on a terminal, as lines elsewhere, or not at all. */
final class Progress implements MigrationListener, AutoCloseable {
  /** How to show it. */
  enum Style {
    BAR,
    LINES,
    NONE
  }

  private static final int WIDTH = 110;

  /** Every round of the first few has a line; then one is printed so often. */
  private static final int FIRST_ROUNDS = 5;

  private static final long LINE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private static final long WAITING_NANOS = TimeUnit.SECONDS.toNanos(3);

  private final PrintStream out;
  private final Style style;
  private @Nullable ProgressBar bar;
  private long pagesInAll;
  private long lastLine;
  private int round;
  private long destinationLines = -1;
  private long lastChange = System.nanoTime();
  private boolean waiting;

  Progress(PrintStream out, Style style) {
    this.out = out;
    this.style = style;
  }

  @Override
  public void phase(String what) {
    closeBar();
    if (style != Style.NONE) {
      out.println(what);
    }
  }

  @Override
  public void roundBegins(int number, long pages) {
    round = number;
    if (style == Style.BAR && pages > 0) {
      ProgressBar shown = bar;
      if (shown == null) {
        shown =
            new ProgressBarBuilder()
                .setTaskName("pre-copy")
                .setInitialMax(0)
                .setStyle(ProgressBarStyle.ASCII)
                .setUnit(" pages", 1)
                .setUpdateIntervalMillis(100)
                .setConsumer(new ConsoleProgressBarConsumer(out, WIDTH))
                .build();
        bar = shown;
      }
      pagesInAll += pages;
      shown.maxHint(pagesInAll);
    }
  }

  @Override
  public void sent(long pages) {
    ProgressBar shown = bar;
    if (shown != null) {
      shown.stepBy(pages);
    }
  }

  @Override
  public void roundEnds(Round ended, long pagesLeft, double downtimeMillis) {
    ProgressBar shown = bar;
    String text =
        String.format(
            Locale.ROOT,
            "round %,d: %,.0f pages/s, %,d left, %.1f ms",
            ended.number(),
            ended.dirtyPagesPerSecond(),
            pagesLeft,
            downtimeMillis);
    if (shown != null) {
      shown.setExtraMessage(text);
    } else if (style == Style.LINES && isTimeForLine()) {
      out.printf(
          Locale.ROOT,
          "round %,d: sent %,d pages; dirtied at %,.0f pages/s, %,d dirty now, downtime estimate"
              + " %.1f ms%n",
          ended.number(),
          ended.pages(),
          ended.dirtyPagesPerSecond(),
          pagesLeft,
          downtimeMillis);
    }
  }

  @Override
  public void destinationRuns(long lines) {
    if (style == Style.NONE) {
      return;
    }
    long now = System.nanoTime();
    if (lines != destinationLines) {
      if (isTimeForLine()) {
        destinationLines = lines;
        lastChange = now;
        out.printf(Locale.ROOT, "the destination has printed %,d lines%n", lines);
      }
    } else if (!waiting && now - lastChange > WAITING_NANOS) {
      waiting = true;
      out.println("waiting for the check against an uninterrupted run");
    }
  }

  private boolean isTimeForLine() {
    long now = System.nanoTime();
    if (round > FIRST_ROUNDS && now - lastLine < LINE_NANOS) {
      return false;
    }
    lastLine = now;
    return true;
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
