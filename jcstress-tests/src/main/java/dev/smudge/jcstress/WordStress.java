package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageSet;
import java.util.concurrent.atomic.AtomicLong;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Pages share a word, blocks share a summary word: whoever marks, takes or clears one leaves the
 * others as they are. r1 and r2: whether the first and the second page are found afterwards. Design
 * 3.2.
 *
 * <p>ORDER B3, B4, B5, B11, B14.
 */
public class WordStress {
  private WordStress() {}

  private static final int SPREAD = 50;

  /** The idea: each mark is one step. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final AtomicLong word = new AtomicLong();

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      word.getAndAccumulate(1, (old, bit) -> old | bit);
    }

    /** Another marker. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      word.getAndAccumulate(2, (old, bit) -> old | bit);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = (int) (word.get() & 1);
      result.r2 = (int) (word.get() >> 1 & 1);
    }
  }

  /** A load and a store. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(
      id = {"0, 1", "1, 0"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: wiped by the other marker's store")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final AtomicLong word = new AtomicLong();

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      word.set(word.get() | 1);
    }

    /** Another marker. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      word.set(word.get() | 2);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = (int) (word.get() & 1);
      result.r2 = (int) (word.get() >> 1 & 1);
    }
  }

  /** The shipped class: two pages of one word. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualWord {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(64);

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /** Another marker. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      bitmap.markRange(1, 1);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      bitmap.fetch(
          false,
          (wordIndex, bits) -> {
            result.r1 |= wordIndex == 0 ? (int) (bits & 1) : 0;
            result.r2 |= wordIndex == 0 && (bits & 1L << 1) != 0 ? 1 : 0;
          });
    }
  }

  /** The shipped class: two blocks of one summary word. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualSummary {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(1024);

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /** Another marker. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      bitmap.markRange(512, 1);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      bitmap.fetch(
          false,
          (wordIndex, bits) -> {
            result.r1 |= wordIndex == 0 ? (int) (bits & 1) : 0;
            result.r2 |= wordIndex == 8 && (bits & 1L << 0) != 0 ? 1 : 0;
          });
    }
  }

  /** The shipped class: a block is marked while a fetch takes the summary bit of another. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualFetch {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(1024);

    /** Makes a state. */
    public ActualFetch() {
      bitmap.markRange(512, 1);
    }

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      bitmap.fetch(
          true,
          (wordIndex, bits) -> {
            result.r1 |= wordIndex == 0 ? 1 : 0;
            result.r2 |= wordIndex == 8 ? 1 : 0;
          });
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      bitmap.fetch(true, (wordIndex, bits) -> result.r1 |= wordIndex == 0 ? 1 : 0);
    }
  }

  /** The shipped class: a page is marked while its neighbour is cleared. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "marked and cleared")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualClear {
    private final Pace pace = new Pace();
    private final LiveBitmap bitmap = new LiveBitmap(64);

    /** Makes a state. */
    public ActualClear() {
      bitmap.markRange(1, 1);
    }

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /** Clears the other page. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      bitmap.clearWord(0, 2);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = bitmap.isMarked(0) ? 1 : 0;
      result.r2 = bitmap.isMarked(1) ? 1 : 0;
    }
  }

  /** A collector reads a word, hands it on, and stores 0. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
  @Outcome(
      id = "0, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: wiped by the store of a collector that had read the word before")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedMove {
    private final Pace pace = new Pace();
    private final AtomicLong word = new AtomicLong(2);
    private long set;

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      word.getAndAccumulate(1, (old, bit) -> old | bit);
    }

    /** Moves what there is. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      move();
    }

    private void move() {
      set |= word.getAcquire();
      word.set(0);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      move();
      result.r1 = (int) (set & 1);
      result.r2 = (int) (set >> 1 & 1);
    }
  }

  /** The shipped class: a page is marked while the others of its word are moved into a set. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks are there")
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

    /** A marker. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      bitmap.markRange(0, 1);
    }

    /** Moves what there is. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      bitmap.moveInto(true, set);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      bitmap.moveInto(true, set);
      result.r1 = (int) (set.word(0) & 1);
      result.r2 = (int) (set.word(0) >> 1 & 1);
    }
  }
}
