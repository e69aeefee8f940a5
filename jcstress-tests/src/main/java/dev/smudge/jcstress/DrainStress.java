package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.HostBitmap;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The summary level of a bitmap whose markers always mark: a device writes and marks while the
 * collector drains, and drains again later. r1 and r2: whether the first and the second drain found
 * the page (1), and if so, without its content (2). Design 3.2, bug 15.
 *
 * <p>ORDER B7, B8, B9, B10.
 */
public class DrainStress {
  private DrainStress() {}

  private static final int SPREAD = 100;

  /** The idea: the word, then the summary; taken the other way round. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first drain, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second drain, with its content")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** A device. */
    @Actor
    public void device() {
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
      result.r1 = bitmap.drain() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.drain() ? 2 - ram : 0;
    }
  }

  /** Looks at the summary before it marks the word. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first drain, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second drain, with its content")
  @Outcome(
      id = "0, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the mark stays behind a clear summary")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedTestFirst {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** A device. */
    @Actor
    public void device() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.markTestFirst();
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.drain() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.drain() ? 2 - ram : 0;
    }
  }

  /**
   * As the model, with opaque accesses to the word and the summary: never fails on x86, where every
   * atomic is a full fence; needs a weaker one.
   */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first drain, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second drain, with its content")
  @Outcome(
      id = "0, 0",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the load of the summary passed the mark of the word")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedPlainLoad {
    private final Pace pace = new Pace();
    private final Mini bitmap = new Mini();
    private int ram;

    /** A device. */
    @Actor
    public void device() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.markOpaque();
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = bitmap.drain() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = bitmap.drain() ? 2 - ram : 0;
    }
  }

  /** The shipped class. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found by the first drain, with its content")
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found by the second drain, with its content")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final HostBitmap bitmap = new HostBitmap(64);
    private int ram;

    /** Makes a state. */
    public Actual() {
      bitmap.markAlways(1, 1);
    }

    /** A device. */
    @Actor
    public void device() {
      pace.meet(SPREAD);
      ram = 1;
      bitmap.markAlways(0, 1);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = drain() ? 2 - ram : 0;
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = drain() ? 2 - ram : 0;
    }

    private boolean drain() {
      boolean[] found = {false};
      bitmap.drain((wordIndex, bits) -> found[0] |= (bits & 1) != 0);
      return found[0];
    }
  }

  /** One word and its summary, which is set at first. */
  private static final class Mini {
    private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int WORD = 0;
    private static final int SUMMARY = 16;

    private final long[] words = new long[17];

    Mini() {
      words[SUMMARY] = 1;
    }

    void mark() {
      WORDS.getAndBitwiseOr(words, WORD, 1L); // B7
      if ((long) WORDS.getVolatile(words, SUMMARY) == 0) { // B8
        WORDS.setVolatile(words, SUMMARY, 1L);
      }
    }

    void markTestFirst() {
      boolean clear = (long) WORDS.getVolatile(words, SUMMARY) == 0;
      WORDS.getAndBitwiseOr(words, WORD, 1L);
      if (clear) {
        WORDS.setVolatile(words, SUMMARY, 1L);
      }
    }

    void markOpaque() {
      WORDS.getAndBitwiseOrRelease(words, WORD, 1L);
      if ((long) WORDS.getOpaque(words, SUMMARY) == 0) {
        WORDS.setVolatile(words, SUMMARY, 1L);
      }
    }

    boolean drain() {
      if ((long) WORDS.getAndSet(words, SUMMARY, 0L) == 0) { // B9
        return false;
      }
      return (long) WORDS.getAndSet(words, WORD, 0L) != 0; // B10
    }
  }
}
