package dev.smudge.benchmarks;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * What a client costs above the bare calls of the kernel, and over the software backend, in
 * microseconds, minimum and median: all fetch, and clear, the same pages in turns, so that a
 * machine that gets slower meanwhile does so for all. {@code java -cp benchmarks.jar
 * dev.smudge.benchmarks.KvmLayer}. A single shot each, with caches that a guest has just used; the
 * code is compiled before.
 */
public final class KvmLayer {
  private static final int WARM_UP_DIRTY = 1000;
  private static final int WARM_UP_RUNS = 3;

  /** What is done with dirty pages. */
  private enum What {
    GET("GET"),
    SYNC("sync"),
    GET_AND_CLEAR("GET and CLEAR"),
    TAKE("take"),
    SOFTWARE_SYNC("software: sync"),
    SOFTWARE_TAKE("take");

    final String title;

    What(String title) {
      this.title = title;
    }
  }

  private KvmLayer() {}

  /**
   * Runs.
   *
   * @param args none, or the numbers of dirty pages
   */
  public static void main(String[] args) {
    for (int i = 0; i < WARM_UP_RUNS; i++) {
      measure(WARM_UP_DIRTY);
    }
    int[] counts =
        args.length == 0
            ? new int[] {0, 100, 1000, 26_214, 131_072, 262_144}
            : Arrays.stream(args).mapToInt(Integer::parseInt).toArray();
    for (int dirty : counts) {
      System.out.println(measure(dirty));
    }
  }

  private static String measure(int dirty) {
    try (DirtyMachine.Kernel kernel = DirtyMachine.kernel(dirty);
        DirtyMachine software = DirtyMachine.software(dirty)) {
      return measure(kernel, software, dirty);
    }
  }

  private static String measure(DirtyMachine.Kernel kernel, DirtyMachine software, int dirty) {
    What[] whats = What.values();
    int rounds = Math.max(12, Math.min(400, 400_000 / (dirty + 1)));
    Map<What, double[]> micros = new EnumMap<>(What.class);
    for (What what : whats) {
      micros.put(what, new double[rounds]);
    }
    for (int round = 0; round < rounds; round++) {
      for (int turn = 0; turn < whats.length; turn++) {
        What what = whats[(turn + round) % whats.length];
        (what.compareTo(What.SOFTWARE_SYNC) < 0 ? kernel : software).write();
        long start = System.nanoTime();
        switch (what) {
          case GET -> kernel.get();
          case SYNC -> kernel.sync();
          case GET_AND_CLEAR -> kernel.getAndClear();
          case TAKE -> kernel.takeDirty();
          case SOFTWARE_SYNC -> software.sync();
          case SOFTWARE_TAKE -> software.takeDirty();
        }
        double took = (System.nanoTime() - start) / 1e3;
        Objects.requireNonNull(micros.get(what))[round] = took;
      }
    }
    StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%6d dirty", dirty));
    int warmUp = rounds / 4;
    for (What what : whats) {
      double[] sorted = Objects.requireNonNull(micros.get(what));
      Arrays.sort(sorted, warmUp, rounds);
      line.append(
          String.format(
              Locale.ROOT,
              " | %s %.1f / %.1f",
              what.title,
              sorted[warmUp],
              sorted[(warmUp + rounds) / 2]));
    }
    return line.toString();
  }
}
