package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * Measures on this machine from where on finding writes by the MMU is cheaper than marking them. A
 * guest stores at random to so many pages that each gets the asked number of stores from one take
 * to the next; what counts is the CPU time of its stores, its faults and the takes together.
 */
@Command(
    name = "crossover",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    usageHelpWidth = 100,
    description =
        "Measures software marks against the MMU on this machine, prints a table, and draws it.",
    footer = {
      "",
      "Exit status: 0 measured; 1 the MMU cannot find writes here, or the picture cannot be"
          + " written; 2 wrong options."
    })
public final class Crossover implements Callable<Integer> {
  private static final int PAGE_SHIFT = 12;
  private static final int WORDS = 1 << (PAGE_SHIFT - 3); // of 8 bytes in a page
  private static final long WARM_UP_NANOS = 500_000_000;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  @Spec private @Nullable CommandSpec spec;

  @Option(
      names = "--stores",
      split = ",",
      paramLabel = "N",
      description = "Stores per page from one take to the next. Default: ${DEFAULT-VALUE}.")
  private List<Integer> stores = List.of(4, 16, 64, 256, 1024, 4096, 16384, 65536);

  @Option(
      names = "--interval",
      split = ",",
      paramLabel = "MILLISECONDS",
      description =
          "From one take to the next, as an untracked guest runs. Default: ${DEFAULT-VALUE}.")
  private List<Integer> intervals = List.of(1, 10);

  @Option(
      names = "--ram",
      split = ",",
      paramLabel = "MIB",
      description = "Size of RAM, all of it in use. Default: ${DEFAULT-VALUE}.")
  private List<Integer> rams = List.of(64, 1024);

  @Option(
      names = "--run",
      paramLabel = "1..512",
      description =
          "Stores in a row, before the next page is chosen; a power of two. Default:"
              + " ${DEFAULT-VALUE}.")
  private int run = 8;

  @Option(
      names = "--seconds",
      paramLabel = "SECONDS",
      description = "CPU time to spend, about. Default: ${DEFAULT-VALUE}.")
  private double seconds = 40;

  @Option(
      names = "--png",
      paramLabel = "FILE",
      description = "The picture, without .png. Default: ${DEFAULT-VALUE}.")
  private String png = "crossover";

  private long ignored;

  private Crossover() {}

  /**
   * Measures and draws.
   *
   * @param args the options; {@code --help} explains them
   */
  public static void main(String[] args) {
    System.exit(new CommandLine(new Crossover()).execute(args));
  }

  /** One who finds writes, and the guest whose writes they are. */
  private abstract static class Machine implements AutoCloseable {
    final GuestMemory memory;
    final MemorySegment ram;
    private final DirtyClient<GuestSlot> client;

    Machine(DirtyLog log, long bytes) {
      memory = GuestMemory.over(log);
      ram = memory.addSlot(0, 0, bytes).ram();
      ram.fill((byte) 1);
      client = memory.client("crossover", InitialView.NONE_DIRTY);
    }

    abstract long store(long visits, int run, long pages, long stride, long seed);

    void take() {
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        batch.commit();
      }
    }

    @Override
    public void close() {
      memory.close();
    }
  }

  /** Each store is a tracked one of a vCPU, with a safepoint after each run of them. */
  private static final class Marks extends Machine {
    private final Vcpu vcpu = memory.addVcpu();

    Marks(long bytes) {
      super(DirtyLog.create(), bytes);
    }

    @Override
    long store(long visits, int run, long pages, long stride, long seed) {
      long x = seed;
      for (long visit = 0; visit < visits; visit++) {
        x = next(x);
        long at = address(x, run, pages, stride);
        for (int i = 0; i < run; i++) {
          vcpu.putLong(at + 8L * i, x);
        }
        vcpu.safepoint();
      }
      return x;
    }

    @Override
    void take() {
      vcpu.offline();
      super.take();
    }
  }

  /** Each store goes to RAM, and nobody is told. */
  private static class Untold extends Machine {
    Untold(DirtyLog log, long bytes) {
      super(log, bytes);
    }

    @Override
    long store(long visits, int run, long pages, long stride, long seed) {
      long x = seed;
      for (long visit = 0; visit < visits; visit++) {
        x = next(x);
        long at = address(x, run, pages, stride);
        for (int i = 0; i < run; i++) {
          ram.set(ValueLayout.JAVA_LONG, at + 8L * i, x);
        }
      }
      return x;
    }
  }

  /** The same, and nobody takes. */
  private static final class Untracked extends Untold {
    Untracked(long bytes) {
      super(DirtyLog.create(), bytes);
    }

    @Override
    void take() {}
  }

  private static long next(long x) {
    long y = x ^ x << 13;
    y ^= y >>> 7;
    return y ^ y << 17;
  }

  private static long address(long x, int run, long pages, long stride) {
    long page = (((x >>> 33) * pages) >>> 31) * stride;
    return page << PAGE_SHIFT | (x & (WORDS - run)) << 3; // a run begins at a multiple of itself
  }

  @Override
  public Integer call() {
    check();
    PrintWriter out = spec().commandLine().getOut();
    Optional<String> whyNot = MmuTracker.whyNot();
    if (whyNot.isPresent()) {
      spec().commandLine().getErr().println("crossover: " + whyNot.get());
      return 1;
    }
    // series, stores per page, how often the cost of the MMU goes into that of marks
    Map<String, NavigableMap<Integer, Double>> series = new LinkedHashMap<>();
    double points = 3.0 * rams.size() * intervals.size() * stores.size();
    long pointNanos = (long) (seconds * 1e9 / points);
    out.printf(
        Locale.ROOT,
        "%9s %11s %16s %9s %9s %9s%n",
        "RAM",
        "take each",
        "stores per page",
        "marks",
        "MMU",
        "");
    for (int mib : rams) {
      measure((long) mib << 20, pointNanos, series, out);
    }
    series.forEach((name, ratios) -> out.println(name + ": " + crossing(ratios)));
    try {
      draw(series);
    } catch (IOException e) {
      spec().commandLine().getErr().println("crossover: " + png + ".png: " + e.getMessage());
      return 1;
    }
    out.println("drawn in " + png + ".png; marks and MMU are multiples of an untracked guest's");
    out.flush();
    return ignored == 0 ? 1 : 0; // never 0: so that no loop is left out
  }

  private void measure(
      long bytes,
      long pointNanos,
      Map<String, NavigableMap<Integer, Double>> series,
      PrintWriter out) {
    try (Machine untracked = new Untracked(bytes);
        Machine marks = new Marks(bytes);
        Machine mmu = new Untold(MmuTracker.log(), bytes)) {
      List<Machine> machines = List.of(untracked, marks, mmu);
      long pages = bytes >> PAGE_SHIFT;
      for (Machine machine : machines) {
        cost(machine, 1000, pages, pages, Math.max(pointNanos, WARM_UP_NANOS));
      }
      for (int millis : intervals) {
        String name = String.format(Locale.ROOT, "%,d MiB, %d ms", bytes >> 20, millis);
        for (int each : stores) {
          long visits = visits(untracked, millis * 1e6, each, pages);
          long used = visits * run / each;
          if (used < 1 || used > pages) {
            continue; // there are not so many pages, or the interval is over before
          }
          double[] costs =
              machines.stream()
                  .mapToDouble(m -> cost(m, visits, used, pages, pointNanos))
                  .toArray();
          series.computeIfAbsent(name, n -> new TreeMap<>()).put(each, costs[1] / costs[2]);
          out.printf(
              Locale.ROOT,
              "%,5d MiB %8d ms %,16d %9.2f %9.2f %9s%n",
              bytes >> 20,
              millis,
              each,
              costs[1] / costs[0],
              costs[2] / costs[0],
              costs[1] < costs[2] ? "marks" : "MMU");
          out.flush();
        }
      }
    }
  }

  /** How often a guest that nobody tracks chooses a page in so many nanoseconds. */
  private long visits(Machine untracked, double nanos, int each, long pages) {
    double visits = 1000;
    for (int i = 0; i < 4; i++) { // the fewer pages, the faster
      long used = Math.clamp(((long) visits) * run / each, 1, pages);
      visits *= Math.min(100, nanos / cost(untracked, (long) visits, used, pages, 0));
    }
    return (long) visits;
  }

  /** CPU nanoseconds of one round: the least of some. */
  private double cost(Machine machine, long visits, long used, long pages, long budgetNanos) {
    long least = Long.MAX_VALUE;
    long begin = THREADS.getCurrentThreadCpuTime();
    long seed = 88_172_645_463_325_252L;
    for (int round = 0;
        round < 3 || THREADS.getCurrentThreadCpuTime() - begin < budgetNanos;
        round++) {
      long before = THREADS.getCurrentThreadCpuTime();
      seed = machine.store(visits, run, used, pages / used, seed);
      machine.take();
      least = Math.min(least, THREADS.getCurrentThreadCpuTime() - before);
    }
    ignored |= seed;
    return least;
  }

  private void check() {
    if (run < 1 || run > WORDS || Integer.bitCount(run) != 1) {
      throw wrong("--run " + run + ": a power of two from 1 to " + WORDS);
    }
    checkAll("--stores", stores, 1, 1 << 24);
    checkAll("--interval", intervals, 1, 10_000);
    checkAll("--ram", rams, 1, 1 << 20);
    if (!(seconds > 0 && seconds <= 3600)) {
      throw wrong("--seconds " + seconds + ": more than 0, at most 3600");
    }
  }

  private void checkAll(String option, List<Integer> values, int least, int most) {
    for (int value : values) {
      if (value < least || value > most) {
        throw wrong(option + " " + value + ": from " + least + " to " + most);
      }
    }
  }

  private ParameterException wrong(String message) {
    return new ParameterException(spec().commandLine(), message);
  }

  private CommandSpec spec() {
    return Objects.requireNonNull(spec);
  }

  /** In words, from how many stores per page on the MMU is cheaper. */
  private static String crossing(NavigableMap<Integer, Double> ratios) {
    Integer last = null;
    double before = 0;
    for (Map.Entry<Integer, Double> point : ratios.entrySet()) {
      double ahead = Math.log(point.getValue()); // of the MMU: straight lines in the plot
      if (ahead >= 0) {
        double at =
            last == null
                ? point.getKey()
                : last * Math.pow((double) point.getKey() / last, before / (before - ahead));
        return String.format(
            Locale.ROOT, "the MMU is cheaper from %,.0f stores per page and round on", at);
      }
      last = point.getKey();
      before = ahead;
    }
    return "marks are cheaper throughout";
  }

  private void draw(Map<String, NavigableMap<Integer, Double>> series) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(800)
            .height(500)
            .title("Software marks against the MMU: above 1 the MMU is cheaper")
            .xAxisTitle("stores per page from one take to the next")
            .yAxisTitle("CPU time with marks / with the MMU")
            .build();
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideSE);
    chart.getStyler().setChartTitleFont(chart.getStyler().getChartTitleFont().deriveFont(14f));
    series.forEach((name, ratios) ->
        chart.addSeries(
            name + " from take to take",
            new ArrayList<>(ratios.keySet()),
            new ArrayList<>(ratios.values())));
    List<Integer> all =
        series.values().stream().flatMap(r -> r.keySet().stream()).sorted().toList();
    if (!all.isEmpty()) {
      chart
          .addSeries("equal", List.of(all.getFirst(), all.getLast()), List.of(1, 1))
          .setMarker(SeriesMarkers.NONE);
    }
    BitmapEncoder.saveBitmap(chart, png, BitmapFormat.PNG);
  }
}
