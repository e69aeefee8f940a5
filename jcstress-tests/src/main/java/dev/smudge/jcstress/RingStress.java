package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
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
