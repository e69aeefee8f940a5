package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.ReportedBitmap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Pages for which a full ring has no room, and which the vCPU reports in the bitmap: it does so
 * while the collector fetches, and fetches again later. r1 and r2: whether the first and the second
 * fetch found the page (1), and if so, without its content (2). Design 3.5, bug 32.
 *
 * <p>ORDER B4, B5, B13.
 */
public class SpillStress {
  private SpillStress() {}

  private static final int SPREAD = 100;
  private static final int SECOND_BLOCK = 8; // its first word

  /** The idea: the word, the summary, the flag; taken the other way round. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first fetch, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second fetch, with its content")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** The vCPU, whose ring is full. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.mark();
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.fetch() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.fetch() ? 2 - ram : 0;
    }
  }

  /** Reports the word before it marks it. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first fetch, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second fetch, with its content")
  @Outcome(
      id = "0, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the report was taken before there was a bit")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedReportFirst {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** The vCPU, whose ring is full. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.report();
      bitmap.word.getAndSet(1);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.fetch() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.fetch() ? 2 - ram : 0;
    }
  }

  /** The flag before the summary. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first fetch, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second fetch, with its content")
  @Outcome(
      id = "0, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the summary bit stays behind a flag that was taken")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedFlagFirst {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** The vCPU, whose ring is full. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.word.getAndSet(1);
      bitmap.reported.set(1);
      bitmap.summary.getAndSet(1);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.fetch() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.fetch() ? 2 - ram : 0;
    }
  }

  /** The collector takes the flag after the summary. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first fetch, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second fetch, with its content")
  @Outcome(
      id = "0, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the flag was taken, the summary bit was not")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedFlagLast {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** The vCPU, whose ring is full. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.mark();
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.fetchFlagLast() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.fetchFlagLast() ? 2 - ram : 0;
    }
  }

  /** The shipped bitmap. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first fetch, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second fetch, with its content")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "found by both, with its content")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualBitmap {
    private final Pace pace = new Pace();
    private final ReportedBitmap bitmap = new ReportedBitmap(64);
    private int ram;

    /** Makes a state: a flag behind which there is nothing. */
    public ActualBitmap() {
      bitmap.report(0);
      bitmap.fetchReported((wordIndex, bits) -> {});
    }

    /** The vCPU, whose ring is full. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.markWord(0, 1);
      bitmap.report(0);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = fetch() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = fetch() ? 2 - ram : 0;
    }

    private boolean fetch() {
      boolean[] found = {false};
      bitmap.fetchReported((wordIndex, bits) -> found[0] |= (bits & 1) != 0);
      return found[0];
    }
  }

  /** The shipped bitmap: two vCPUs report. r1, r2: whether their pages were found. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both were found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualTwoReporters {
    private final Pace pace = new Pace();
    private final ReportedBitmap bitmap = new ReportedBitmap(1024);

    /** A vCPU. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markWord(0, 1);
      bitmap.report(0);
    }

    /** A vCPU whose page is in another block. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      bitmap.markWord(SECOND_BLOCK, 1);
      bitmap.report(SECOND_BLOCK);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Arbiter
    public void collector(II_Result result) {
      bitmap.fetchReported((wordIndex, bits) -> {
        result.r1 |= wordIndex == 0 ? 1 : 0;
        result.r2 |= wordIndex == SECOND_BLOCK ? 1 : 0;
      });
    }
  }

  /**
   * The shipped classes, with a ring of two entries. r1: whether the first take found some of the
   * pages; r2: how many pages two takes did not find, or with old content.
   */
  @JCStressTest
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "found by the two takes, with their content")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Guest guest = Guest.withRing(2, UnaryOperator.identity(), () -> {});
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      pace.meet(SPREAD);
      guest.writeAll(1);
      guest.vcpu.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      taken = guest.take(guest.client);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.pages != 0 ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  /** One word, its summary bit, and the flag, which is set at first, with nothing behind it. */
  private static final class Mini {
    final AtomicInteger word = new AtomicInteger();
    final AtomicInteger summary = new AtomicInteger();
    final AtomicInteger reported = new AtomicInteger(1);

    void mark() {
      word.getAndSet(1); // B4
      report();
    }

    void report() {
      summary.getAndSet(1); // B13
      reported.set(1);
    }

    boolean fetch() {
      return reported.getAndSet(0) != 0 // B13
          && summary.getAndSet(0) != 0 // B5
          && word.getAcquire() != 0;
    }

    boolean fetchFlagLast() {
      boolean found = summary.getAndSet(0) != 0 && word.getAcquire() != 0;
      return reported.getAndSet(0) != 0 && found;
    }
  }
}
