package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The summary level of a bitmap whose markers test, then mark. One marker is half-way; another
 * marks the same page meanwhile, finds it marked or not, and is done: the next fetch must find the
 * page. r1: whether that second one relied on the first; r2: whether the fetch found the page.
 * Design 3.2.
 *
 * <p>ORDER B2, B3, B4, B5, B6, B14.
 */
public class SummaryStress {
  private SummaryStress() {}

  private static final int SPREAD = 100;

  /** The idea: summary first, then the word; the blocks of a fetch are read again by the next. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini(1, 1);

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.mark(0);
    }

    /**
     * Fetches, marks (or relies on the mark), and fetches again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      bitmap.fetch(true);
      result.r1 = bitmap.mark(0) ? 0 : 1;
      result.r2 = bitmap.fetch(true) ? 1 : 0;
    }
  }

  /** A fetch reads only the blocks whose summary bit is set. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(
      id = "[01], 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "not found: set after the words were read, behind a summary bit from before")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoSuspects {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini(1, 1);

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.mark(0);
    }

    /**
     * Fetches, marks (or relies on the mark), and fetches again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      bitmap.fetch(false);
      result.r1 = bitmap.mark(0) ? 0 : 1;
      result.r2 = bitmap.fetch(false) ? 1 : 0;
    }
  }

  /** The word first, then the summary. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(
      id = "[01], 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "not found: the word was set, its summary bit was not yet")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedWordFirst {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini(0, 0);

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.markWordFirst(0);
    }

    /**
     * Fetches, marks (or relies on the mark), and fetches again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.markWordFirst(0) ? 0 : 1;
      result.r2 = bitmap.fetch(true) ? 1 : 0;
    }
  }

  /** The shipped class, with a summary bit that was set before. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(64);

    /** Makes a state. */
    public Actual() {
      bitmap.markRange(1, 1);
    }

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /**
     * Fetches, marks (or relies on the mark), and fetches again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      fetch();
      result.r1 = bitmap.markRange(0, 1) != 0 ? 0 : 1;
      result.r2 = fetch() ? 1 : 0;
    }

    private boolean fetch() {
      boolean[] found = {false};
      bitmap.fetch(false, (wordIndex, bits) -> found[0] |= (bits & 1) != 0);
      return found[0];
    }
  }

  /** The shipped class, from an empty bitmap. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualClear {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(64);

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /**
     * Fetches, marks (or relies on the mark), and fetches again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.markRange(0, 1) != 0 ? 0 : 1;
      result.r2 = fetch() ? 1 : 0;
    }

    private boolean fetch() {
      boolean[] found = {false};
      bitmap.fetch(false, (wordIndex, bits) -> found[0] |= (bits & 1) != 0);
      return found[0];
    }
  }

  /** The shipped class, whose collector fetches and clears in one step. */
  @JCStressTest
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "the completed mark was found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualMove {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(64);
    private final PageSet set = new PageSet(64);

    /** Makes a state. */
    public ActualMove() {
      bitmap.markRange(1, 1);
    }

    /** A marker, half-way meanwhile. */
    @Actor
    public void halfWay() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /**
     * Moves, marks (or relies on the mark), and moves again.
     *
     * @param result the result
     */
    @Actor
    public void completed(II_Result result) {
      pace.meet(SPREAD);
      move();
      set.clear();
      result.r1 = bitmap.markRange(0, 1) != 0 ? 0 : 1;
      result.r2 = move() ? 1 : 0;
    }

    private boolean move() {
      bitmap.moveInto(false, set);
      return (set.word(0) & 1) != 0;
    }
  }

  /** One word, its summary bit, and the suspects. */
  private static final class Mini {
    private final AtomicLong word;
    private final AtomicInteger summary;
    private int suspect;

    Mini(int summary, int othersInWord) {
      this.summary = new AtomicInteger(summary);
      this.word = new AtomicLong((long) othersInWord << 1);
    }

    boolean mark(int page) {
      if ((word.getOpaque() & 1L << page) != 0) {
        return false;
      }
      if (summary.getOpaque() == 0) { // B2
        summary.getAndSet(1); // B3
      }
      return (set(page) & 1L << page) == 0; // B4
    }

    boolean markWordFirst(int page) {
      if ((word.getOpaque() & 1L << page) != 0) {
        return false;
      }
      boolean changed = (set(page) & 1L << page) == 0;
      if (summary.getOpaque() == 0) {
        summary.getAndSet(1);
      }
      return changed;
    }

    private long set(int page) {
      return word.getAndAccumulate(1L << page, (old, bit) -> old | bit);
    }

    /** Whether page 0 is found. */
    boolean fetch(boolean suspects) {
      int fresh = summary.getAndSet(0); // B5
      boolean look = fresh != 0 || (suspects && suspect != 0);
      suspect |= fresh;
      return look && (word.getAcquire() & 1) != 0; // B6
    }
  }
}
