package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.tracker.Tracker;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Two clients take the same pages at once: the first has cleared them and waits for its barrier;
 * the second finds nothing to clear. The vCPU of the shipped classes has a write TLB. r1: whether
 * one of them read something older than the guest's last write; r2: how many pages are lost (older,
 * and not dirty again for that client). Design 3.4.
 *
 * <p>ORDER S1, S2.
 */
public class TwoClientsStress {
  private TwoClientsStress() {}

  private static final int SPREAD = 200;

  /** The idea: whoever comes second clears nothing, and waits all the same. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();
    private final int[] second = new int[Ram.PAGES];

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.write(0, Ram.PAGES);
      guest.setRelease(ModelGuest.OFFLINE, 1);
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // the first client; the second finds nothing to clear
      while (guest.getAcquire(ModelGuest.OFFLINE) == 0) {
        Thread.onSpinWait();
      }
      guest.ram.copyTo(second);
      guest.read();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      guest.judge(second, result);
      guest.judge(result);
    }
  }

  /** The second client reads at once. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost for the second client: it read before the barrier that the first one waits for")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedModel {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();
    private final int[] second = new int[Ram.PAGES];

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.write(0, Ram.PAGES);
      guest.setRelease(ModelGuest.OFFLINE, 1);
    }

    /** The collector. */
    @Actor
    public void collector() {
      pace.meet(SPREAD);
      guest.clear(); // the first client; the second finds nothing to clear
      guest.ram.copyTo(second);
      while (guest.getAcquire(ModelGuest.OFFLINE) == 0) {
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
      guest.judge(second, result);
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
    private final TwoClients clients = new TwoClients(pace, true);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      clients.vcpu();
    }

    /** The collector. */
    @Actor
    public void collector() {
      clients.collect();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      clients.judge(result);
    }
  }

  /** The shipped classes; the second client has no barrier, since it cleared nothing. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost for the second client: it read before the barrier that the first one waits for")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final TwoClients clients = new TwoClients(pace, false);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      clients.vcpu();
    }

    /** The collector. */
    @Actor
    public void collector() {
      clients.collect();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      clients.judge(result);
    }
  }

  /** The second client takes between the first one's clear and the first one's barrier. */
  private static final class TwoClients {
    private final Pace pace;
    private final Guest.Tlb tlb = new Guest.Tlb();
    private final Guest guest;
    private final DirtyClient<LogSlot> second;
    private Guest.Taken byFirst = new Guest.Taken();
    private Guest.Taken bySecond = new Guest.Taken();

    TwoClients(Pace pace, boolean barrierForSecond) {
      this.pace = pace;
      guest = new Guest(backend -> new Second(backend, barrierForSecond), tlb::drop);
      second = guest.log.client("second", InitialView.ALL_DIRTY);
    }

    private final class Second extends MeetAtClear {
      private final boolean barrierForSecond;
      private boolean isSecond;

      Second(Tracker backend, boolean barrierForSecond) {
        super(backend, pace);
        this.barrierForSecond = barrierForSecond;
      }

      @Override
      public void afterSync() {
        if (!isSecond) {
          isSecond = true;
          bySecond = guest.take(second);
          super.afterSync();
        } else if (barrierForSecond) {
          super.afterSync();
        }
      }
    }

    void vcpu() {
      guest.vcpu.online();
      guest.writeAll(tlb, 1);
      pace.meet(5 * SPREAD);
      guest.writeAll(tlb, 2);
      guest.vcpu.offline();
    }

    void collect() {
      byFirst = guest.take(guest.client);
    }

    void judge(II_Result result) {
      result.r1 = byFirst.isOlderThan(2) || bySecond.isOlderThan(2) ? 1 : 0;
      result.r2 =
          byFirst.lost(guest.ram, guest.take(guest.client))
              + bySecond.lost(guest.ram, guest.take(second));
    }
  }
}
