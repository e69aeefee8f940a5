package dev.smudge.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * Runs {@link CollectBenchmark} and draws its medians as a PNG file: {@code java -cp benchmarks.jar
 * dev.smudge.benchmarks.CollectPlot docs/collect}.
 */
public final class CollectPlot {
  private CollectPlot() {}

  /**
   * Runs, and draws.
   *
   * @param args the file to write, without its ending
   * @throws RunnerException if the benchmark fails
   */
  public static void main(String[] args) throws RunnerException {
    if (args.length != 1) {
      throw new IllegalArgumentException(
          "one argument: the file to write, without .png; given: " + args.length);
    }
    // series, dirty pages, microseconds
    Map<String, NavigableMap<Integer, Double>> medians = new TreeMap<>();
    for (RunResult result :
        new Runner(new OptionsBuilder().include(CollectBenchmark.class.getName() + ".take").build())
            .run()) {
      String series =
          result.getParams().getParam("by") + ", " + result.getParams().getParam("where");
      medians
          .computeIfAbsent(series, s -> new TreeMap<>())
          .put(
              Integer.valueOf(result.getParams().getParam("dirty")),
              result.getPrimaryResult().getStatistics().getPercentile(50));
    }
    draw(medians, args[0]);
  }

  private static void draw(Map<String, NavigableMap<Integer, Double>> medians, String file) {
    XYChart chart =
        new XYChartBuilder()
            .width(800)
            .height(500)
            .title("Guest of 1 TiB. The bitmap is faster: " + crossover(medians))
            .xAxisTitle("dirty pages")
            .yAxisTitle("microseconds, median")
            .build();
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    chart.getStyler().setChartTitleFont(chart.getStyler().getChartTitleFont().deriveFont(14f));
    medians.forEach((series, points) ->
        chart.addSeries(
            series, new ArrayList<>(points.keySet()), new ArrayList<>(points.values())));
    try {
      BitmapEncoder.saveBitmap(chart, file, BitmapFormat.PNG);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** From which number of pages on the bitmap is faster. */
  private static String crossover(Map<String, NavigableMap<Integer, Double>> medians) {
    List<String> texts = new ArrayList<>();
    for (String where : List.of("random", "sequential")) {
      NavigableMap<Integer, Double> ring = medians.getOrDefault("ring, " + where, new TreeMap<>());
      NavigableMap<Integer, Double> bitmap =
          medians.getOrDefault("bitmap, " + where, new TreeMap<>());
      double before = 0;
      double crossing = Double.NaN;
      for (int dirty : ring.keySet()) {
        // How far the ring is ahead, as a logarithm: straight lines in the plot.
        double ahead =
            Math.log(bitmap.getOrDefault(dirty, Double.NaN) / ring.getOrDefault(dirty, 1.0));
        Integer last = ring.lowerKey(dirty);
        if (last != null && before > 0 && ahead <= 0 && Double.isNaN(crossing)) {
          crossing = last * Math.pow((double) dirty / last, before / (before - ahead));
        }
        before = ahead;
      }
      texts.add(
          Double.isNaN(crossing)
              ? where + ", nowhere"
              : String.format(Locale.ROOT, "%s, from %,.0f on", where, crossing));
    }
    return String.join("; ", texts);
  }
}
