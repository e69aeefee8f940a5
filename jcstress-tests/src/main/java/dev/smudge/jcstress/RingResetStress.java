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
 * The ring of {@link RingStress} with a weaker reset: what the harvester's release of RESET, and
 * the resetter's look at it before everything else, protect.
 *
 * <p>ORDER R2.
 */
public class RingResetStress {
  private RingResetStress() {}

  /**
   * RESET by a plain store: never fails on x86, where no store passes an earlier load, unless the
   * compiler moves it; ARMv8 allows it.
   */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "RESET before the loads: not on x86, unless the compiler moves it; ARMv8 allows it")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedPlainReset {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean harvest() {
            if (getAcquire(harvestCount) != DIRTY) {
              return false;
            }
            harvested(slotIds[harvestCount % ENTRIES], pages[harvestCount % ENTRIES]);
            flags[harvestCount++ % ENTRIES] = RESET;
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

  /** The order that a weaker machine may show: RESET, then the loads of the fields. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the payload of the next round was harvested")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedResetFirst {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean harvest() {
            if (getAcquire(harvestCount) != DIRTY) {
              return false;
            }
            setRelease(harvestCount, RESET);
            linger();
            harvested(slotIds[harvestCount % ENTRIES], pages[harvestCount % ENTRIES]);
            harvestCount++;
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

  /** The order that a weaker machine may show: the resetter has the fields from before RESET. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the page of the round before was armed, and this one stays unarmed")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedFieldsFirst {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean reset() {
            int slotId = slotIds[done % ENTRIES];
            long page = pages[done % ENTRIES];
            linger();
            if (getAcquire(done) != RESET) {
              return false;
            }
            armed(slotId, page);
            setOpaque(done++, 0);
            resetCount.setRelease(done);
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

  /** A reset that skips an entry which is not harvested, and does not stop there. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(
      id = {"1, [01], [01]", "0, 1, [01]", "0, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the producer took the entry that was skipped, before its page was armed")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedSkip {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean reset() {
            int count = 0;
            for (int entry = done; entry < done + ENTRIES; entry++) {
              if (getAcquire(entry) == RESET) {
                armed(slotIds[entry % ENTRIES], pages[entry % ENTRIES]);
                setOpaque(entry, 0);
                count++;
              }
              linger();
            }
            done += count;
            resetCount.setRelease(done);
            return count > 0;
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
