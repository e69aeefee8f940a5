package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.RingFullPolicy;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A vCPU has set a page's live bit, and its ring has no entry yet; another vCPU writes the page,
 * relies on the bit, and has passed a safepoint when the collector comes: the page must be found.
 * The second vCPU and the collector are one actor. r1: whether the second vCPU relied on the first;
 * r2: whether the page was found. Design 3.2, 3.5.
 *
 * <p>ORDER B1, B4, B13, S10, S11.
 */
public class UnderWayStress {
  private UnderWayStress() {}

  private static final int SPREAD = 100;
  private static final int LONGEST_WAIT = 1_000;

  /** The idea: says that a report is under way, as long as it is. */
  @JCStressTest
  @Outcome(id = "0, [01]", expect = ACCEPTABLE, desc = "did not rely on the bit")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "relied on the bit; the page was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Mini page = new Mini(pace);

    /** The vCPU that is half-way. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      page.mark();
    }

    /**
     * Another vCPU, and then the collector.
     *
     * @param result the result
     */
    @Actor
    public void relies(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = page.awaitMark() ? 1 : 0;
      result.r2 = page.collect() ? 1 : 0;
    }
  }

  /** The collector does not look what is under way. */
  @JCStressTest
  @Outcome(id = "0, [01]", expect = ACCEPTABLE, desc = "did not rely on the bit")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "relied on the bit; the page was found")
  @Outcome(
      id = "1, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the bit was relied on before the entry was there")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoHelp {
    private final Pace pace = new Pace();
    private final Mini page = new Mini(pace);

    /** The vCPU that is half-way. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      page.mark();
    }

    /**
     * Another vCPU, and then the collector.
     *
     * @param result the result
     */
    @Actor
    public void relies(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = page.awaitMark() ? 1 : 0;
      result.r2 = page.collectWithoutHelp() ? 1 : 0;
    }
  }

  /** Says that a report is under way after the bit. */
  @JCStressTest
  @Outcome(id = "0, [01]", expect = ACCEPTABLE, desc = "did not rely on the bit")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "relied on the bit; the page was found")
  @Outcome(
      id = "1, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: between the bit and the word that a report is under way")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedSetAfterBit {
    private final Pace pace = new Pace();
    private final Mini page = new Mini(pace);

    /** The vCPU that is half-way. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      page.markThenSay();
    }

    /**
     * Another vCPU, and then the collector.
     *
     * @param result the result
     */
    @Actor
    public void relies(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = page.awaitMark() ? 1 : 0;
      result.r2 = page.collect() ? 1 : 0;
    }
  }

  /** Says that the report is over before the entry. */
  @JCStressTest
  @Outcome(id = "0, [01]", expect = ACCEPTABLE, desc = "did not rely on the bit")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "relied on the bit; the page was found")
  @Outcome(
      id = "1, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: between the word that the report is over and the entry")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedClearedFirst {
    private final Pace pace = new Pace();
    private final Mini page = new Mini(pace);

    /** The vCPU that is half-way. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      page.clearThenPush();
    }

    /**
     * Another vCPU, and then the collector.
     *
     * @param result the result
     */
    @Actor
    public void relies(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = page.awaitMark() ? 1 : 0;
      result.r2 = page.collect() ? 1 : 0;
    }
  }

  /**
   * The shipped classes: one mark of 64 pages, of which the last comes into the ring last, or, by
   * chance, has no room there.
   */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the page was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private static final int PAGES = 64;
    private static final int LAST = PAGES - 1;

    private final Pace pace = new Pace();
    private final DirtyLog log =
        DirtyLog.builder()
            .ring(ThreadLocalRandom.current().nextBoolean() ? PAGES : 2, 0, RingFullPolicy.SPILL)
            .build();
    private final LogSlot slot = log.addSlot(0, PAGES, 1);
    private final LogVcpu first = log.addVcpu();
    private final LogVcpu second = log.addVcpu();
    private final DirtyClient<LogSlot> client = log.client("client", InitialView.NONE_DIRTY);

    /** The vCPU that is half-way. */
    @Actor
    public void halfWay() {
      first.online();
      pace.meet(SPREAD);
      first.mark(slot, 0, PAGES);
      first.offline();
    }

    /**
     * Another vCPU, and then the collector.
     *
     * @param result the result
     */
    @Actor
    public void relies(II_Result result) {
      second.online();
      pace.meet(SPREAD);
      for (int i = 0; i < LONGEST_WAIT && !slot.isMarked(LAST); i++) {
        Thread.onSpinWait();
      }
      second.mark(slot, LAST, 1);
      second.offline();
      try (DirtyBatch<LogSlot> batch = client.takeRange(slot, LAST, 1)) {
        result.r1 = Long.valueOf(0).equals(log.counters().vcpuPages().get(second.index())) ? 1 : 0;
        result.r2 = (int) batch.pageCount();
      }
    }
  }

  /** The live bit of a page, its entry, and what is under way. */
  private static final class Mini {
    private final AtomicInteger live = new AtomicInteger();
    private final AtomicInteger entry = new AtomicInteger();
    private final AtomicInteger underWay = new AtomicInteger();
    private final Pace pace;

    Mini(Pace pace) {
      this.pace = pace;
    }

    void mark() {
      underWay.setOpaque(1); // S10
      live.getAndSet(1); // B4
      pace.pass(SPREAD);
      entry.setRelease(1);
      underWay.setRelease(0); // S11
    }

    void markThenSay() {
      live.getAndSet(1);
      pace.pass(SPREAD);
      underWay.setOpaque(1);
      entry.setRelease(1);
      underWay.setRelease(0);
    }

    void clearThenPush() {
      underWay.setOpaque(1);
      live.getAndSet(1);
      underWay.setRelease(0);
      pace.pass(SPREAD);
      entry.setRelease(1);
    }

    /** Waits, not for ever, until the page is marked. */
    boolean awaitMark() {
      boolean marked = false;
      for (int i = 0; i < LONGEST_WAIT && !marked; i++) {
        marked = live.getAcquire() != 0; // B1, then the acquire fence before S2 and S4
      }
      return marked;
    }

    boolean collect() {
      return underWay.getAcquire() != 0 || collectWithoutHelp(); // S10, S11
    }

    boolean collectWithoutHelp() {
      return entry.getAcquire() != 0;
    }
  }
}
