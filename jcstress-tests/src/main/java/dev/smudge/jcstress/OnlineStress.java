package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.LogVcpu;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Coming online and going offline: a barrier does not wait for a vCPU that is offline. r1: whether
 * the collector read something older than the guest's last write; r2: how many pages are lost
 * (older, and not dirty again). Design 3.3.
 *
 * <p>ORDER S1, S4, S5, S7.
 */
public class OnlineStress {
  private OnlineStress() {}

  private static final int SPREAD = 200;

  /** The idea: store the state, full fence, load live bits; clear, full fence, load the state. */
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
      guest.setRelease(ModelGuest.ONLINE, 1);
      VarHandle.fullFence(); // S5
      guest.write(0, Ram.PAGES);
      guest.setRelease(ModelGuest.ONLINE, 0); // S4
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // B11, S1
      while (guest.getVolatile(ModelGuest.ONLINE) != 0) {
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

  /** No fence after the state. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: loads of the live bits passed the store of the state; nobody waited")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.setRelease(ModelGuest.ONLINE, 1);
      guest.write(0, Ram.PAGES);
      guest.setRelease(ModelGuest.ONLINE, 0); // S4
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // B11, S1
      while (guest.getVolatile(ModelGuest.ONLINE) != 0) {
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
      pace.meet(SPREAD);
      for (int round = 1; round <= 3; round++) {
        guest.vcpu.online();
        guest.writeAll(round);
        guest.vcpu.offline();
      }
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.shareState();
      taken = guest.take(guest.client);
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

  /** The shipped classes; the vCPU is new, and has a write TLB. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualAdded {
    private final Pace pace = new Pace();
    private final Guest.Tlb tlb = new Guest.Tlb();
    private final Guest guest = new Guest(backend -> new MeetAtClear(backend, pace));
    private Guest.Taken taken = new Guest.Taken();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      LogVcpu added = guest.log.addVcpu(tlb::drop);
      added.online();
      guest.writeAll(added, tlb, 1);
      pace.meet(5 * SPREAD);
      guest.writeAll(added, tlb, 2);
      added.offline();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.shareState();
      taken = guest.take(guest.client);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r1 = taken.isOlderThan(2) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }
}
