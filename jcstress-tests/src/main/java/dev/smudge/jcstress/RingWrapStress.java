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
 * Push against reset, at the wrap: all entries of a ring are harvested; a vCPU pushes while another
 * thread resets. r1: whether a push was accepted; r2: whether the payload of an entry did not match
 * at the harvester or the armer; r3: whether a page was lost or doubled. Design 3.5, bug 32.
 *
 * <p>ORDER R3, R4.
 */
public class RingWrapStress {
  private RingWrapStress() {}

  /** The idea: an entry is read, armed and freed, then given back by the count. */
  @JCStressTest
  @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "refused; the old entries were armed")
  @Outcome(
      id = "1, 0, 0",
      expect = ACCEPTABLE,
      desc = "accepted, intact; the old entries were armed")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final RingRoles ring = new ModelRing();

    /** Makes a state. */
    public Model() {
      ring.fill();
    }

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushSome();
    }

    /** The thread that resets. */
    @Actor
    public void resetter() {
      ring.resetFull();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judgeFull(result);
    }
  }

  /** The order that a weaker machine may show: the count, then the loads of the entry. */
  @JCStressTest
  @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "refused; the old entries were armed")
  @Outcome(
      id = "1, 0, 0",
      expect = ACCEPTABLE,
      desc = "accepted, intact; the old entries were armed")
  @Outcome(
      id = {"1, 1, [01]", "1, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the next page was armed in place of the one before")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedCountFirst {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean reset() {
            if (getAcquire(done) != RESET) {
              return false;
            }
            resetCount.setRelease(done + 1);
            linger();
            armed(slotIds[done % ENTRIES], pages[done % ENTRIES]);
            setOpaque(done++, 0);
            return true;
          }
        };

    /** Makes a state. */
    public WeakenedCountFirst() {
      ring.fill();
    }

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushSome();
    }

    /** The thread that resets. */
    @Actor
    public void resetter() {
      ring.resetFull();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judgeFull(result);
    }
  }

  /** The order of the stores that a weaker machine may show: the count, then the flags. */
  @JCStressTest
  @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "refused; the old entries were armed")
  @Outcome(
      id = "1, 0, 0",
      expect = ACCEPTABLE,
      desc = "accepted, intact; the old entries were armed")
  @Outcome(
      id = {"1, 1, [01]", "1, 0, 1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the DIRTY of the next round was wiped")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedFlagsLast {
    private final RingRoles ring =
        new ModelRing() {
          @Override
          boolean reset() {
            if (getAcquire(done) != RESET) {
              return false;
            }
            armed(slotIds[done % ENTRIES], pages[done % ENTRIES]);
            resetCount.setRelease(done + 1);
            linger();
            setOpaque(done++, 0);
            return true;
          }
        };

    /** Makes a state. */
    public WeakenedFlagsLast() {
      ring.fill();
    }

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushSome();
    }

    /** The thread that resets. */
    @Actor
    public void resetter() {
      ring.resetFull();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judgeFull(result);
    }
  }

  /** The shipped class, on the heap. */
  @JCStressTest
  @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "refused; the old entries were armed")
  @Outcome(
      id = "1, 0, 0",
      expect = ACCEPTABLE,
      desc = "accepted, intact; the old entries were armed")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final RingRoles ring = new ShippedRing(DirtyRing.allocate(RingRoles.ENTRIES, 0));

    /** Makes a state. */
    public Actual() {
      ring.fill();
    }

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushSome();
    }

    /** The thread that resets. */
    @Actor
    public void resetter() {
      ring.resetFull();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judgeFull(result);
    }
  }

  /** The shipped class, over a direct buffer. */
  @JCStressTest
  @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "refused; the old entries were armed")
  @Outcome(
      id = "1, 0, 0",
      expect = ACCEPTABLE,
      desc = "accepted, intact; the old entries were armed")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualInBuffer {
    private final RingRoles ring =
        new ShippedRing(
            DirtyRing.over(
                ByteBuffer.allocateDirect(RingRoles.ENTRIES * RingLayout.ENTRY_SIZE), 0));

    /** Makes a state. */
    public ActualInBuffer() {
      ring.fill();
    }

    /** The vCPU. */
    @Actor
    public void producer() {
      ring.pushSome();
    }

    /** The thread that resets. */
    @Actor
    public void resetter() {
      ring.resetFull();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(III_Result result) {
      ring.judgeFull(result);
    }
  }
}
