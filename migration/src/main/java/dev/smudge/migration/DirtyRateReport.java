package dev.smudge.migration;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Estimates a migration from the rate at which the guest makes pages dirty: how long it would take,
 * whether it would converge, and if not, at which dirty limit it would.
 *
 * <p>If a guest writes the same pages again and again, it makes fewer pages dirty per second in a
 * longer window. So its dirty pages are counted over windows of growing length. Between two windows
 * the count is interpolated linearly; beyond the last it counts as constant.
 *
 * @param ramBytes bytes that the first round would send
 * @param windowNanos the lengths of the windows, in nanoseconds, growing
 * @param dirtyBytes bytes that became dirty in each of them
 */
public record DirtyRateReport(long ramBytes, List<Long> windowNanos, List<Long> dirtyBytes) {
  private static final int MAX_ROUNDS = 100;
  private static final int WINDOWS = 4;

  /**
   * The estimate of a migration at a given speed.
   *
   * @param converges whether it would reach the downtime goal
   * @param rounds rounds while the guest runs
   * @param duration how long the migration would take, with the downtime
   * @param downtime how long the guest would stand still
   * @param limitBytesPerSecond the dirty limit at which it would converge; {@code Long.MAX_VALUE}
   *     if it does without
   */
  public record Estimate(
      boolean converges,
      int rounds,
      Duration duration,
      Duration downtime,
      long limitBytesPerSecond) {
    @Override
    public String toString() {
      String figures =
          String.format(
              Locale.ROOT,
              "%d %s, %,d ms, of which the guest stands still for %,d ms",
              rounds,
              rounds == 1 ? "round" : "rounds",
              duration.toMillis(),
              downtime.toMillis());
      return converges
          ? "converges: " + figures
          : String.format(
              Locale.ROOT,
              "does not converge (%s); limit the guest to %,d KiB/s",
              figures,
              limitBytesPerSecond >> 10);
    }
  }

  /**
   * Makes it.
   *
   * @throws IllegalArgumentException if there is no window, or not one count per window
   */
  public DirtyRateReport {
    windowNanos = List.copyOf(windowNanos);
    dirtyBytes = List.copyOf(dirtyBytes);
    if (windowNanos.isEmpty() || windowNanos.size() != dirtyBytes.size()) {
      throw new IllegalArgumentException(
          windowNanos.size()
              + " windows and "
              + dirtyBytes.size()
              + " counts; there have to be as many of both, 1 or more");
    }
  }

  /**
   * Measures a running guest: takes its dirty pages and forgets them, and takes again after windows
   * of an eighth, a quarter, a half and the whole of a time. Blocks for about twice that time.
   *
   * @param ram the guest's RAM, with a client that sees the pages of a first round as dirty: one
   *     for measurements alone, or the migration's. The measurement consumes its view; a migration
   *     by the same client sends all that was measured
   * @param longest the longest window, from 8 ms
   * @param <S> what the client calls a slot
   * @return what was measured
   * @throws IllegalArgumentException if the window is shorter; nothing has happened
   * @throws IllegalStateException if a migration or a measurement by this client is under way
   * @throws InterruptedException if the thread is interrupted
   */
  public static <S> DirtyRateReport measure(GuestRam<S> ram, Duration longest)
      throws InterruptedException {
    if (longest.compareTo(Duration.ofMillis(8)) < 0) {
      throw new IllegalArgumentException("a window of " + longest + "; at least 8 ms");
    }
    MigrationSource.Sent sent = MigrationSource.sent(ram.client());
    sent.enter(ram.client());
    try {
      return measure(ram, longest, sent);
    } finally {
      sent.busy = false;
    }
  }

  private static <S> DirtyRateReport measure(
      GuestRam<S> ram, Duration longest, MigrationSource.Sent sent) throws InterruptedException {
    long taken = System.nanoTime(); // a window is from one take to the next
    long all = take(ram, sent);
    List<Long> windows = new ArrayList<>();
    List<Long> dirty = new ArrayList<>();
    for (int i = WINDOWS - 1; i >= 0; i--) {
      awaitEnd(taken + (TimeUnit.NANOSECONDS.convert(longest) >> i));
      long now = System.nanoTime();
      windows.add(now - taken);
      taken = now;
      dirty.add(take(ram, sent));
    }
    return new DirtyRateReport(all, windows, dirty);
  }

  /** The window is what is measured, so time is all there is to wait for. */
  private static void awaitEnd(long end) throws InterruptedException {
    for (long left = end - System.nanoTime(); left > 0; left = end - System.nanoTime()) {
      if (Thread.interrupted()) {
        throw new InterruptedException();
      }
      LockSupport.parkNanos(left);
    }
  }

  private static <S> long take(GuestRam<S> ram, MigrationSource.Sent sent) {
    DirtyClient<S> client = ram.client();
    long[] sum = {0};
    try (DirtyBatch<S> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        sent.of(ram, slot).addRange(first, count);
        sum[0] += count * ram.pages().pageBytes(slot);
      });
      batch.commit();
    }
    return sum[0];
  }

  /**
   * Estimates a migration. If it would not converge, the limit of the estimate is half of the
   * speed: then each round leaves half as much as the one before.
   *
   * @param bytesPerSecond bytes of RAM that are sent per second, more than 0
   * @param downtimeGoal how long the guest may stand still
   * @return the estimate
   * @throws IllegalArgumentException if the speed is not more than 0
   */
  public Estimate estimate(long bytesPerSecond, Duration downtimeGoal) {
    if (bytesPerSecond < 1) {
      throw new IllegalArgumentException("a speed of " + bytesPerSecond + "; more than 0");
    }
    double goal = TimeUnit.NANOSECONDS.convert(downtimeGoal);
    double nanos = ramBytes * 1e9 / bytesPerSecond;
    double sum = nanos;
    double left = dirtyAfter(nanos) * 1e9 / bytesPerSecond;
    int rounds = 1;
    while (left > goal && rounds < MAX_ROUNDS) {
      nanos = left;
      sum += nanos;
      rounds++;
      double next = dirtyAfter(nanos) * 1e9 / bytesPerSecond;
      if (next >= left * 0.99) {
        break; // it stays as much
      }
      left = next;
    }
    boolean converges = left <= goal;
    return new Estimate(
        converges,
        rounds,
        Duration.ofNanos((long) (sum + left)),
        Duration.ofNanos((long) left),
        converges ? Long.MAX_VALUE : Math.max(1, bytesPerSecond / 2));
  }

  /** {@return how many bytes the guest makes dirty in so long} */
  double dirtyAfter(double nanos) {
    double before = 0;
    double bytesBefore = 0;
    for (int i = 0; i < windowNanos.size(); i++) {
      double window = windowNanos.get(i);
      double bytes = Math.max(bytesBefore, (double) dirtyBytes.get(i));
      if (nanos <= window) {
        return bytesBefore + (bytes - bytesBefore) * (nanos - before) / (window - before);
      }
      before = window;
      bytesBefore = bytes;
    }
    // The last two windows say whether it still grows; RAM is the most there can be.
    int last = windowNanos.size() - 1;
    double slope =
        last == 0
            ? bytesBefore / before
            : Math.max(0, bytesBefore - dirtyBytes.get(last - 1))
                / Math.max(1, before - windowNanos.get(last - 1));
    return Math.min(
        Math.max((double) ramBytes, bytesBefore), bytesBefore + slope * (nanos - before));
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    text.append(String.format(Locale.ROOT, "%,d KiB to send first", ramBytes >> 10));
    for (int i = 0; i < windowNanos.size(); i++) {
      text.append(
          String.format(
              Locale.ROOT,
              "; dirty in %,d ms: %,d KiB",
              windowNanos.get(i) / 1_000_000,
              dirtyBytes.get(i) >> 10));
    }
    return text.toString();
  }
}
