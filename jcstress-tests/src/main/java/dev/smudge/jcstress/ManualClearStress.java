package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Manual clear and its cache: two clients were told of the same pages and take them one after the
 * other, while the guest writes. r1: whether one of them read something older than the guest's last
 * write; r2: how many pages are lost (older, and not dirty again for that client). Design 3.4, bug
 * 3.
 *
 * <p>ORDER B11. The cache itself is under the collector's lock.
 */
public class ManualClearStress {
  private ManualClearStress() {}

  private static final int SPREAD = 200;
  private static final int ROUNDS = 8;

  /** The idea: a client clears what it takes out of the cache, and nothing else. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();
    private final AtomicLong cached = new AtomicLong(ModelGuest.ALL);

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
      guest.and(ModelGuest.LIVE, ~cached.getAndSet(0)); // the first client
      guest.read();
      guest.and(ModelGuest.LIVE, ~cached.getAndSet(0)); // the second one
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

  /** No cache: the second client clears from its old copy. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost for the first client: the bit of a write after its read was cleared")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedModel {
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
      guest.and(ModelGuest.LIVE, ~ModelGuest.ALL); // the first client
      guest.read();
      guest.and(ModelGuest.LIVE, ~ModelGuest.ALL); // the second one
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

  /** The shipped classes; the second client clears in the tracker what its view has. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "read the last writes")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "read older ones; those pages are dirty again")
  @Outcome(
      id = "1, [1-9][0-9]*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost for the first client: the bit of a write after its read was cleared")
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

  /** Two clients that were told of the same pages take them one after the other. */
  private static final class TwoClients {
    private final Pace pace;
    private final boolean cache;
    private final Guest guest;
    private final DirtyClient<LogSlot> second;
    private Guest.Taken byFirst = new Guest.Taken();
    private Guest.Taken bySecond = new Guest.Taken();
    private @Nullable SlotTracker part;

    TwoClients(Pace pace, boolean cache) {
      this.pace = pace;
      this.cache = cache;
      guest =
          new Guest(builtIn ->
              new ForwardingTracker(builtIn) {
                @Override
                public SlotTracker newSlot(TrackedSlot slot) {
                  SlotTracker made = super.newSlot(slot);
                  part = made;
                  return made;
                }
              });
      second = guest.log.client("second", InitialView.ALL_DIRTY);
    }

    void vcpu() {
      guest.vcpu.online();
      pace.meet(2 * SPREAD);
      for (int round = 1; round <= ROUNDS; round++) {
        guest.writeAll(round);
        guest.vcpu.safepoint();
      }
      guest.vcpu.offline();
    }

    void collect() {
      pace.meet();
      byFirst = guest.take(guest.client.takeSynced());
      if (!cache && part != null) {
        part.clear(0, Ram.PAGES, new long[] {ModelGuest.ALL});
      }
      bySecond = guest.take(second.takeSynced());
    }

    void judge(II_Result result) {
      result.r1 = byFirst.isOlderThan(ROUNDS) || bySecond.isOlderThan(ROUNDS) ? 1 : 0;
      result.r2 =
          byFirst.lost(guest.ram, guest.take(guest.client))
              + bySecond.lost(guest.ram, guest.take(second));
    }
  }
}
