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
 * The arm callback: a vCPU has a write TLB through which it writes without a mark, and drops it
 * when pages were armed. r1: whether the collector read something older than the guest's last
 * write; r2: how many pages are lost (older, and not dirty again). Design 3.3, bug 16.
 *
 * <p>ORDER S3.
 */
public class ArmEpochStress {
  private ArmEpochStress() {}

  private static final int SPREAD = 200;

  /** The idea: clear, then say that pages were armed, then ask for the barrier. */
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
      guest.writeThroughTlb(1);
      pace.meet(SPREAD);
      for (int round = 2; round <= 5; round++) {
        guest.writeThroughTlb(round);
        long request = guest.getAcquire(ModelGuest.REQUEST); // S2
        guest.dropTlbIfArmed(); // S3
        guest.setRelease(ModelGuest.ACKNOWLEDGED, request);
      }
      guest.setRelease(ModelGuest.OFFLINE, 1);
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear();
      guest.setVolatile(ModelGuest.EPOCH, 1); // S3
      guest.setVolatile(ModelGuest.REQUEST, 1);
      while (guest.getAcquire(ModelGuest.ACKNOWLEDGED) == 0
          && guest.getAcquire(ModelGuest.OFFLINE) == 0) {
        Thread.onSpinWait();
      }
      guest.read();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      guest.judge(5, result);
    }
  }

  /** Says that pages were armed before it clears them. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the TLB was dropped and filled again before the clear")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.writeThroughTlb(1);
      pace.meet(SPREAD);
      for (int round = 2; round <= 5; round++) {
        guest.writeThroughTlb(round);
        long request = guest.getAcquire(ModelGuest.REQUEST); // S2
        guest.dropTlbIfArmed(); // S3
        guest.setRelease(ModelGuest.ACKNOWLEDGED, request);
      }
      guest.setRelease(ModelGuest.OFFLINE, 1);
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.setVolatile(ModelGuest.EPOCH, 1);
      guest.clear();
      guest.setVolatile(ModelGuest.REQUEST, 1);
      while (guest.getAcquire(ModelGuest.ACKNOWLEDGED) == 0
          && guest.getAcquire(ModelGuest.OFFLINE) == 0) {
        Thread.onSpinWait();
      }
      guest.read();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      guest.judge(5, result);
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Guest.Tlb tlb = new Guest.Tlb();
    private final Guest guest = new Guest(backend -> new MeetAtClear(backend, pace), tlb::drop);
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      guest.writeAll(tlb, 1);
      pace.meet(SPREAD);
      for (int round = 2; round <= 5; round++) {
        guest.writeAll(tlb, round);
        guest.vcpu.safepoint();
      }
      guest.vcpu.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      taken = guest.take(guest.client);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.isOlderThan(5) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  /** The shipped classes; the arm callback drops nothing. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: written through an entry from before the clear")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoDrop {
    private final Pace pace = new Pace();
    private final Guest.Tlb tlb = new Guest.Tlb();
    private final Guest guest = new Guest(backend -> new MeetAtClear(backend, pace), () -> {});
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      guest.writeAll(tlb, 1);
      pace.meet(SPREAD);
      for (int round = 2; round <= 5; round++) {
        guest.writeAll(tlb, round);
        guest.vcpu.safepoint();
      }
      guest.vcpu.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      taken = guest.take(guest.client);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.isOlderThan(5) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }
}
