package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingLayout;
import java.nio.ByteBuffer;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * A ring of four entries, through which a vCPU, a collector and a resetter pass some dozens of
 * pages. r1, r2: whether the payload of an entry did not match at the harvester, and at the armer;
 * r3: whether a page was lost or doubled. Design 3.5, bug 8.
 *
 * <p>ORDER R1, R2, R3, R4.
 */
public class RingStress {
  private RingStress() {}

  /** The idea: each of the three owns the entry in its turn. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final RingRoles ring = new ModelRing();

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

  /** The shipped class, on the heap. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final RingRoles ring = new ShippedRing(DirtyRing.allocate(RingRoles.ENTRIES, 0));

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

  /** The shipped class, over a direct buffer. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualInBuffer {
    private final RingRoles ring =
        new ShippedRing(
            DirtyRing.over(
                ByteBuffer.allocateDirect(RingRoles.ENTRIES * RingLayout.ENTRY_SIZE), 0));

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

  /** The shipped class, on the heap; three threads. */
  @JCStressTest
  @Outcome(
      id = "0, 0, 0",
      expect = ACCEPTABLE,
      desc = "each page came through once, with its payload")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualThreeThreads {
    private final RingRoles ring = new ShippedRing(DirtyRing.allocate(RingRoles.ENTRIES, 0));

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushAndStartThird();
    }

    /** The collector. */
    @Actor
    public void harvester() {
      ring.harvestAll();
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
