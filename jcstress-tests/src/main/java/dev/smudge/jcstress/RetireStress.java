package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.DirtyBitmap;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A thread that is no vCPU, and in no read-side section, marks a slot while it is removed. r1:
 * whether its mark was refused; r2: whether the remover was told. Design 3.6; docs/bugs.md row 18.
 *
 * <p>ORDER T2.
 */
public class RetireStress {
  private RetireStress() {}

  private static final int SPREAD = 300;

  /** The idea: mark, then look whether it was too late; refuse, then look for marks. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "refused")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both")
  @Outcome(expect = FORBIDDEN, desc = "a mark that nobody is told of")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final DirtyBitmap host = new DirtyBitmap(64);
    private volatile boolean retired;
    private int refused;
    private int told;

    /** The device. */
    @Actor
    public void device() {
      pace.meet();
      host.markAlways(5, 1);
      refused = retired ? 1 : 0;
    }

    /** The remover. */
    @Actor
    public void remover() {
      pace.meet();
      retired = true;
      host.drain((word, bits) -> told = 1);
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(II_Result result) {
      result.r1 = refused;
      result.r2 = told;
    }
  }

  /** The look comes before the mark. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "refused")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both")
  @Outcome(id = "0, 0", expect = ACCEPTABLE_INTERESTING, desc = "neither found nor refused: lost")
  @State
  public static class WeakenedModel {
    private final Pace pace = new Pace();
    private final DirtyBitmap host = new DirtyBitmap(64);
    private volatile boolean retired;
    private int refused;
    private int told;

    /** The device. */
    @Actor
    public void device() {
      pace.meet();
      refused = retired ? 1 : 0;
      host.markAlways(5, 1);
    }

    /** The remover. */
    @Actor
    public void remover() {
      pace.meet();
      retired = true;
      host.drain((word, bits) -> told = 1);
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(II_Result result) {
      result.r1 = refused;
      result.r2 = told;
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "found")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "refused")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both")
  @Outcome(expect = FORBIDDEN, desc = "a mark that nobody is told of")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final DirtyLog log = DirtyLog.create();
    private final LogSlot slot = log.addSlot(0, 64, 1);
    private int refused;
    private int told;

    /** A slot that a client tracks, and no page is dirty. */
    public Actual() {
      log.client("first", InitialView.NONE_DIRTY);
      log.mark(slot, 63, 1); // makes the bitmap
      log.sync();
    }

    /** The device. */
    @Actor
    public void device() {
      pace.meet(SPREAD);
      try {
        log.mark(slot, 5, 1);
      } catch (IllegalArgumentException e) {
        refused = 1;
      }
    }

    /** The remover. */
    @Actor
    public void remover() {
      pace.meet(SPREAD);
      var removed = log.change().remove(slot).commit().get(0);
      removed.forEachRun((from, first, count) -> told |= first == 5 ? 1 : 0);
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(II_Result result) {
      result.r1 = refused;
      result.r2 = told;
    }
  }
}
