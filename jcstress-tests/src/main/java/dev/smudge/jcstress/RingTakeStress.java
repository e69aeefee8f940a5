package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.Tracker;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.agrona.concurrent.Agent;
import org.jspecify.annotations.Nullable;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Taking by ring: harvest, reset, barrier, read. A vCPU, which in the shipped classes has a write
 * TLB, writes its pages again and again while a client takes, and takes again later. r1: whether
 * the client read something older than the guest's last write; r2: how many pages are lost (older,
 * and not dirty again). Design 3.3, 3.5, bug 5.
 *
 * <p>ORDER B1, B11, R1, R4, S1, S2, S3.
 */
public class RingTakeStress {
  private RingTakeStress() {}

  private static final int SPREAD = 200;
  private static final int ROUNDS = 5;
  private static final int MOST_ROUNDS = 300;

  /** The idea: the pages are armed, and the barrier is over, before they are read. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Mini guest = new Mini();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.run();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.take();
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

  /** Reads the pages before the reset. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: written after the read and before the reset, by a vCPU that saw the bit set")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedReadFirst {
    private final Mini guest = new Mini();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.run();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.takeReadFirst();
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
    private final Shipped guest = new Shipped(16, false, true);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.run();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.take();
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

  /** The shipped classes, without the barrier. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: written after the read, through an entry of the TLB from before the reset")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoBarrier {
    private final Shipped guest = new Shipped(16, false, false);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.run();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.take();
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

  /**
   * The shipped classes, with a small ring, and reapers: one that the vCPU's thread runs between
   * its blocks, and one that comes between the reset and the read.
   */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualReaper {
    private final Shipped guest = new Shipped(4, true, true);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      guest.run();
    }

    /** The collector. */
    @Actor
    public void collector() {
      guest.take();
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

  /** A vCPU with a ring, and a client that takes twice, then later. */
  private static final class Shipped {
    private final Pace pace = new Pace();
    private final Guest.Tlb tlb = new Guest.Tlb();
    private final Guest.Taken taken = new Guest.Taken();
    private final Guest guest;
    private final @Nullable Agent vcpuReaper;
    private final @Nullable Agent otherReaper;
    private final AtomicBoolean isTaken = new AtomicBoolean();
    private int round = 1;
    private boolean ready; // all pages are armed

    Shipped(int entries, boolean reaped, boolean barrier) {
      guest = Guest.withRing(entries, backend -> new Interceptor(backend, barrier), tlb::drop);
      vcpuReaper = reaped ? guest.log.reaper() : null;
      otherReaper = reaped ? guest.log.reaper() : null;
      ready = true;
    }

    /** The collector meets the guest just before it harvests, for the first time. */
    private final class Interceptor extends ForwardingTracker {
      private final boolean barrier;

      Interceptor(Tracker backend, boolean barrier) {
        super(backend);
        this.barrier = barrier;
      }

      @Override
      public int reapRings(RingPageConsumer sink) {
        if (ready) {
          pace.meet();
        }
        return super.reapRings(sink);
      }

      @Override
      public void afterSync() {
        reap(otherReaper);
        if (barrier) {
          super.afterSync();
        }
        reap(otherReaper);
      }
    }

    private static void reap(@Nullable Agent reaper) {
      if (reaper != null) {
        try {
          reaper.doWork();
        } catch (Exception e) {
          throw new AssertionError(e);
        }
      }
    }

    /** Writes, not for ever, until the client has taken. */
    void run() {
      guest.vcpu.online();
      guest.writeAll(tlb, 1);
      pace.meet(SPREAD);
      while (round < MOST_ROUNDS && !isTaken.getOpaque()) {
        round++;
        guest.writeAll(tlb, round);
        guest.vcpu.safepoint();
        reap(vcpuReaper);
      }
      guest.vcpu.offline();
    }

    void take() {
      taken.then(guest.take(guest.client));
      taken.then(guest.take(guest.client));
      isTaken.setOpaque(true);
    }

    void judge(II_Result result) {
      result.r1 = taken.isOlderThan(round) ? 1 : 0;
      result.r2 = taken.lost(guest.ram, guest.take(guest.client));
    }
  }

  /** A vCPU with a ring without end, and a client that takes once, then later. */
  private static final class Mini {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();
    private final int[] entries = new int[2 * Ram.PAGES];
    private final AtomicInteger pushed = new AtomicInteger();
    private final int[] read = new int[Ram.PAGES];
    private int harvested;

    Mini() {
      guest.clear();
    }

    void run() {
      write(1);
      pace.meet(SPREAD);
      for (int round = 2; round <= ROUNDS; round++) {
        long request = guest.getAcquire(ModelGuest.REQUEST); // S2
        guest.setRelease(ModelGuest.ACKNOWLEDGED, request);
        write(round);
      }
      guest.setRelease(ModelGuest.OFFLINE, 1);
    }

    private void write(int value) {
      for (int page = 0; page < Ram.PAGES; page++) {
        guest.ram.store(page, value);
        if ((guest.getOpaque(ModelGuest.LIVE) & 1L << page) == 0) { // B1
          guest.or(ModelGuest.LIVE, 1L << page);
          int at = pushed.get();
          entries[at] = page;
          pushed.setRelease(at + 1); // R1
        }
      }
    }

    void take() {
      pace.meet(SPREAD);
      long pages = harvest();
      reset(pages);
      barrier();
      read(pages);
    }

    void takeReadFirst() {
      pace.meet(SPREAD);
      long pages = harvest();
      read(pages);
      reset(pages);
      barrier();
    }

    private long harvest() {
      long pages = 0;
      for (int end = pushed.getAcquire(); harvested < end; harvested++) { // R1
        pages |= 1L << entries[harvested];
      }
      return pages;
    }

    private void reset(long pages) {
      guest.and(ModelGuest.LIVE, ~pages); // B11
    }

    private void barrier() {
      guest.setVolatile(ModelGuest.REQUEST, 1); // S1
      while (guest.getAcquire(ModelGuest.ACKNOWLEDGED) == 0
          && guest.getAcquire(ModelGuest.OFFLINE) == 0) {
        Thread.onSpinWait();
      }
    }

    private void read(long pages) {
      for (int page = 0; page < Ram.PAGES; page++) {
        if ((pages & 1L << page) != 0) {
          read[page] = guest.ram.load(page);
        }
      }
    }

    void judge(II_Result result) {
      long later = harvest();
      for (int page = 0; page < Ram.PAGES; page++) {
        if (read[page] != ROUNDS) {
          result.r1 = 1;
          result.r2 += (later & 1L << page) == 0 ? 1 : 0;
        }
      }
    }
  }
}
