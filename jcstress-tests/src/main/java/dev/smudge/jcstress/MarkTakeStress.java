package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Marking against taking: a write is either in what the client read, or its page is dirty again.
 * r1: whether the client read something older than the guest's last write; r2: how many pages are
 * lost (older, and not dirty again). Design 3.1, 3.2, bug 22.
 *
 * <p>ORDER B1, B4, B11, B14.
 */
public class MarkTakeStress {
  private MarkTakeStress() {}

  private static final int SPREAD = 200;

  /** The idea: store, then mark always; take the bit, then read. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      for (int page = 0; page < Ram.PAGES; page++) {
        guest.ram.store(page, 1);
        guest.or(ModelGuest.LIVE, 1L << page);
      }
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // B11
      guest.read();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      guest.judge(result);
    }
  }

  /** Marks before it stores. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the bit was taken and the page read before the store")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      for (int page = 0; page < Ram.PAGES; page++) {
        guest.or(ModelGuest.LIVE, 1L << page);
        guest.ram.store(page, 1);
      }
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // B11
      guest.read();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      guest.judge(result);
    }
  }

  /** The shipped classes: writes with safepoints between, and two takes. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Guest guest = new Guest(backend -> new MeetAtClear(backend, pace));
    private final Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      pace.meet(SPREAD);
      guest.writeAll(1);
      guest.vcpu.safepoint();
      guest.writeAll(2);
      guest.vcpu.safepoint();
      guest.writeAll(3);
      guest.vcpu.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      taken.then(guest.take(guest.client));
      taken.then(guest.take(guest.client));
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.isOlderThan(3) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  /** The shipped classes, with takes that collect and clear in one step. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualAtOnce {
    private final Pace pace = new Pace();
    private final Guest guest = new Guest();
    private final Guest.Taken taken = new Guest.Taken();

    /** Makes a state: all pages are armed. */
    public ActualAtOnce() {
      taken.then(guest.take(guest.client));
    }

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      pace.meet(SPREAD);
      guest.writeAll(1);
      guest.vcpu.safepoint();
      guest.writeAll(2);
      guest.vcpu.safepoint();
      guest.writeAll(3);
      guest.vcpu.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(5 * SPREAD);
      taken.then(guest.take(guest.client));
      taken.then(guest.take(guest.client));
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.isOlderThan(3) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }
}
