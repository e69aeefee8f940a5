package dev.smudge.benchmarks;

import java.util.Arrays;
import java.util.Locale;

/**
 * What a client costs above the bare calls of the kernel, in microseconds, minimum and median: both
 * fetch, and clear, the same pages in turns, so that a machine that gets slower meanwhile does so
 * for both. {@code java -cp benchmarks.jar dev.smudge.benchmarks.KvmLayer}. The small numbers of
 * pages come first, and warm up for the large ones, which the guest needs seconds to write.
 */
public final class KvmLayer {
  private static final String[] WHAT = {"GET", "sync", "GET and CLEAR", "take"};

  private KvmLayer() {}

  /**
   * Runs.
   *
   * @param args none, or the numbers of dirty pages
   */
  public static void main(String[] args) {
    int[] counts =
        args.length == 0
            ? new int[] {0, 100, 1000, 26_214, 131_072, 262_144}
            : Arrays.stream(args).mapToInt(Integer::parseInt).toArray();
    for (int dirty : counts) {
      try (DirtyMachine.Kernel machine = DirtyMachine.kernel(dirty)) {
        run(machine, dirty);
      }
    }
  }

  private static void run(DirtyMachine.Kernel machine, int dirty) {
    int rounds = Math.max(8, Math.min(400, 400_000 / (dirty + 1)));
    double[][] micros = new double[WHAT.length][rounds];
    for (int round = 0; round < rounds; round++) {
      for (int turn = 0; turn < WHAT.length; turn++) {
        int what = (turn + round) % WHAT.length;
        machine.write();
        long start = System.nanoTime();
        once(machine, what);
        micros[what][round] = (System.nanoTime() - start) / 1e3;
      }
    }
    StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%6d dirty", dirty));
    int warmUp = rounds / 4;
    for (int what = 0; what < WHAT.length; what++) {
      Arrays.sort(micros[what], warmUp, rounds);
      double least = micros[what][warmUp];
      double median = micros[what][(warmUp + rounds) / 2];
      line.append(String.format(Locale.ROOT, " | %s %.1f / %.1f", WHAT[what], least, median));
    }
    System.out.println(line);
  }

  private static void once(DirtyMachine.Kernel machine, int what) {
    switch (what) {
      case 0 -> machine.get();
      case 1 -> machine.sync();
      case 2 -> machine.getAndClear();
      default -> machine.takeDirty();
    }
  }
}
