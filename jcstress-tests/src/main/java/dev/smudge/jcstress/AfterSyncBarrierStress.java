package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.tracker.Tracker;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The after-sync barrier. A vCPU stores to pages that it finds marked, while a collector clears the
 * bits, waits, and reads. r1: whether the collector read something older than the guest's last
 * write; r2: how many pages are lost (older, and not dirty again). Design 3.3, bugs 5 and 6.
 *
 * <p>ORDER B1, B11, S1, S2.
 */
public class AfterSyncBarrierStress {
  private AfterSyncBarrierStress() {}

  private static final int MIDDLE = Ram.PAGES / 2;
  private static final int SPREAD = 200;

  /** The idea: clear, publish a request, wait for its acknowledgement, read. */
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
      Ram.fillStoreBuffer();
      guest.write(0, MIDDLE);
      guest.setRelease(ModelGuest.ACKNOWLEDGED, guest.getAcquire(ModelGuest.REQUEST)); // S2
      Ram.fillStoreBuffer();
      guest.write(MIDDLE, Ram.PAGES);
      guest.setRelease(ModelGuest.OFFLINE, 1); // S4
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // B11
      guest.setVolatile(ModelGuest.REQUEST, 1); // S1
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
      guest.judge(result);
    }
  }

  /** As the model, but the vCPU counts its safepoints, and looks for no request. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: loads of the live bits passed the vCPU's own buffered counter store")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedCounter {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.write(0, MIDDLE);
      guest.setRelease(ModelGuest.ACKNOWLEDGED, 1); // the counter
      Ram.fillStoreBuffer();
      guest.write(MIDDLE, Ram.PAGES);
      guest.setRelease(ModelGuest.OFFLINE, 1); // S4
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear();
      long counter = guest.getVolatile(ModelGuest.ACKNOWLEDGED);
      while (guest.getAcquire(ModelGuest.ACKNOWLEDGED) == counter
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
      guest.judge(result);
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
    private final Guest guest = new Guest(backend -> new MeetAtClear(backend, pace));
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.write(0, MIDDLE, 1);
      guest.vcpu.safepoint();
      guest.write(MIDDLE, Ram.PAGES, 1);
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
      result.r1 = taken.isOlderThan(1) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  /** The shipped classes, without the barrier. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: the vCPU saw 'set' before the clear, its store came after the read")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoBarrier {
    private final Pace pace = new Pace();
    private final Guest guest = new Guest(backend -> new NoBarrier(backend, pace));
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.vcpu.online();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.write(0, MIDDLE, 1);
      guest.vcpu.safepoint();
      guest.write(MIDDLE, Ram.PAGES, 1);
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
      result.r1 = taken.isOlderThan(1) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  private static final class NoBarrier extends MeetAtClear {
    NoBarrier(Tracker backend, Pace pace) {
      super(backend, pace);
    }

    @Override
    public void afterSync() {
      // left out
    }
  }
}
