package dev.smudge.examples;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.HeatMapChart;
import org.knowm.xchart.HeatMapChartBuilder;

/**
 * Which pages of a guest were written in which interval. Shown as a map of time against address, in
 * which a cell stands for a piece of guest RAM: the smallest power of two at which what was touched
 * at all has few enough pieces. What was never touched is left out, so a guest that uses little of
 * a large RAM fills the map.
 */
final class WriteHistory {
  private static final int PAGE_SHIFT = 12;
  private static final String SHADES = " .:-=+*#%@";

  private final int mostPieces;
  private final List<Map<Long, Integer>> intervals = new ArrayList<>(); // piece: pages written
  private final NavigableSet<Long> touched = new TreeSet<>(); // pieces
  private int pieceShift = PAGE_SHIFT;

  /**
   * Makes one without intervals.
   *
   * @param mostPieces most cells in the direction of the addresses
   */
  WriteHistory(int mostPieces) {
    this.mostPieces = mostPieces;
  }

  /** What is written from now on was written in a later interval. */
  void nextInterval() {
    intervals.add(new HashMap<>());
  }

  /** Pages of 4 KiB were written in the interval of now. */
  void written(long guestAddress, long pages) {
    long firstPage = guestAddress >>> PAGE_SHIFT;
    long page = firstPage;
    while (page < firstPage + pages) {
      long piece = page >>> (pieceShift - PAGE_SHIFT);
      long end = Math.min(firstPage + pages, (piece + 1) << (pieceShift - PAGE_SHIFT));
      intervals.get(intervals.size() - 1).merge(piece, (int) (end - page), Integer::sum);
      touched.add(piece);
      page = end;
      if (touched.size() > mostPieces) {
        coarsen();
      }
    }
  }

  private void coarsen() {
    while (touched.size() > mostPieces) {
      pieceShift++;
      List<Long> finer = new ArrayList<>(touched);
      touched.clear();
      finer.forEach(piece -> touched.add(piece >> 1));
      for (Map<Long, Integer> interval : intervals) {
        Map<Long, Integer> before = new HashMap<>(interval);
        interval.clear();
        before.forEach((piece, pages) -> interval.merge(piece >> 1, pages, Integer::sum));
      }
    }
  }

  /** {@return how many bytes of guest RAM a cell stands for} */
  long pieceSize() {
    return 1L << pieceShift;
  }

  /** {@return how many bytes were touched at all, in whole pieces} */
  long touchedBytes() {
    return (long) touched.size() << pieceShift;
  }

  /**
   * {@return the last interval as a line of text, one character per piece, ascending by address:
   * the darker, the more of its pages were written}
   */
  String line() {
    Map<Long, Integer> last = intervals.get(intervals.size() - 1);
    StringBuilder text = new StringBuilder();
    for (long piece : touched) {
      text.append(SHADES.charAt((int) Math.ceil(share(last, piece) * (SHADES.length() - 1))));
    }
    return text.toString();
  }

  private double share(Map<Long, Integer> interval, long piece) {
    return interval.getOrDefault(piece, 0) / (double) (1L << (pieceShift - PAGE_SHIFT));
  }

  /**
   * Draws all of it.
   *
   * @param title above the picture
   * @param intervalMillis length of an interval
   * @param file where to; its name ends with .png
   * @throws IOException if the file cannot be written
   */
  void draw(String title, long intervalMillis, Path file) throws IOException {
    List<Number> times = new ArrayList<>();
    for (int i = 0; i < intervals.size(); i++) {
      times.add(i * intervalMillis / 1000.0);
    }
    List<String> addresses = new ArrayList<>();
    List<Long> pieces = new ArrayList<>(touched);
    for (long piece : pieces) {
      addresses.add(String.format(Locale.ROOT, "%x", piece << pieceShift));
    }
    List<Number[]> cells = new ArrayList<>();
    for (int x = 0; x < intervals.size(); x++) {
      for (int y = 0; y < pieces.size(); y++) {
        double share = share(intervals.get(x), pieces.get(y));
        if (share > 0) {
          cells.add(new Number[] {x, y, share * 100});
        }
      }
    }
    HeatMapChart chart =
        new HeatMapChartBuilder()
            .width(1000)
            .height(600)
            .title(title)
            .xAxisTitle("seconds")
            .yAxisTitle("guest address (hexadecimal), " + text(pieceSize()) + " per row")
            .build();
    chart.getStyler().setMin(0);
    chart.getStyler().setMax(100);
    chart.getStyler().setXAxisMaxLabelCount(11);
    chart.getStyler().setPlotContentSize(1);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart
        .getStyler()
        .setHeatMapDecimalValueFormatter(percent -> String.format(Locale.ROOT, "%.0f %%", percent));
    chart.addSeries("pages written", times, addresses, cells);
    String name = file.toString();
    BitmapEncoder.saveBitmap(
        chart, name.substring(0, name.length() - ".png".length()), BitmapFormat.PNG);
  }

  /** {@return a size such as 4 KiB} */
  static String text(long size) {
    int unit = Math.max(0, (63 - Long.numberOfLeadingZeros(Math.max(1, size))) / 10);
    String number =
        size % (1L << (10 * unit)) == 0
            ? String.valueOf(size >> (10 * unit))
            : String.format(Locale.ROOT, "%.1f", size / (double) (1L << (10 * unit)));
    return number + " " + List.of("bytes", "KiB", "MiB", "GiB", "TiB").get(unit);
  }
}
