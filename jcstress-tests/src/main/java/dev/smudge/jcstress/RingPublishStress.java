package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * The ring of {@link RingStress} with a weaker publish: what the vCPU's release of DIRTY protects.
 *
 * <p>ORDER R1.
 */
public class RingPublishStress {
  private RingPublishStress() {}

  /**
   * DIRTY by a plain store: never fails on x86, whose stores stay in order, unless the compiler
   * moves it; ARMv8 allows it.
   */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "DIRTY before the payload: not on x86, unless the compiler moves it; ARMv8 allows it")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedPlainDirty {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean push(int page) {
            if (page >= resetCount.getAcquire() + ENTRIES) {
              return false;
            }
            slotIds[page % ENTRIES] = page;
            pages[page % ENTRIES] = page;
            flags[page % ENTRIES] = DIRTY;
            return true;
          }
        };

    /** Two of vCPU, collector and resetter. */
    @Actor
    public void two() {
      ring.runTwoRoles();
    }

    /** The third. */
    @Actor
    public void third() {
      ring.runThirdRole();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judge(result);
    }
  }

  /** The order of the stores that a weaker machine may show: DIRTY, then the payload. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the payload of the round before was harvested")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedDirtyFirst {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean push(int page) {
            if (page >= resetCount.getAcquire() + ENTRIES) {
              return false;
            }
            setRelease(page, DIRTY);
            linger();
            slotIds[page % ENTRIES] = page;
            pages[page % ENTRIES] = page;
            return true;
          }
        };

    /** Two of vCPU, collector and resetter. */
    @Actor
    public void two() {
      ring.runTwoRoles();
    }

    /** The third. */
    @Actor
    public void third() {
      ring.runThirdRole();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judge(result);
    }
  }
}
