package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.embed.MapLock;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.function.UnaryOperator;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/**
 * A vCPU writes while its slot is replaced by another of the same memory. It looks the slot up when
 * it has dropped the old one, in its arm callback. r1: how many of its pages are dirty nowhere.
 * Design 3.6; docs/bugs.md row 17 and 18.
 *
 * <p>ORDER T1.
 */
public class SlotSwapStress {
  private SlotSwapStress() {}

  private static final int SPREAD = 300;
  private static final int ALL = (1 << Ram.PAGES) - 1;

  /** The idea: swap, wait for the writer, then merge what it has marked in the old slot. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "every write is found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final ModelSwap swap = new ModelSwap();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      swap.vcpu();
    }

    /** Changes the slots. */
    @Actor
    public void changer() {
      swap.change();
      swap.awaitWriter();
      swap.merge();
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(I_Result result) {
      result.r1 = swap.missing();
    }
  }

  /** The merge does not wait for the writer. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "every write is found")
  @Outcome(
      id = "[1-9]",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: marked in the old slot after the merge")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedModel {
    private final ModelSwap swap = new ModelSwap();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      swap.vcpu();
    }

    /** Changes the slots. */
    @Actor
    public void changer() {
      swap.change();
      swap.merge();
      swap.awaitWriter();
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(I_Result result) {
      result.r1 = swap.missing();
    }
  }

  private static final class ModelSwap {
    private final Pace pace = new Pace();
    private final LiveBitmap old = new LiveBitmap(Ram.PAGES);
    private final LiveBitmap next = new LiveBitmap(Ram.PAGES);
    private volatile LiveBitmap current = old;
    private volatile boolean written;

    void vcpu() {
      pace.meet(SPREAD);
      for (int page = 0; page < Ram.PAGES; page++) {
        current.markRange(page, 1);
      }
      written = true;
    }

    void change() {
      pace.meet(SPREAD);
      current = next;
    }

    void awaitWriter() {
      while (!written) {
        Thread.onSpinWait();
      }
    }

    void merge() {
      for (int page = 0; page < Ram.PAGES; page++) {
        if (old.isMarked(page)) {
          next.markRange(page, 1);
        }
      }
    }

    int missing() {
      int found = 0;
      for (int page = 0; page < Ram.PAGES; page++) {
        found += next.isMarked(page) ? 1 : 0;
      }
      return Ram.PAGES - found;
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "every write is found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Swap swap = new Swap(DirtyLog.builder(), ForwardingTracker::new);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      swap.vcpu();
    }

    /** Changes the slots. */
    @Actor
    public void changer() {
      swap.change();
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(I_Result result) {
      result.r1 = swap.missing();
    }
  }

  /** The shipped classes, with a ring. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "every write is found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class ActualRing {
    private final Swap swap = new Swap(DirtyLog.builder().ring(16), ForwardingTracker::new);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      swap.vcpu();
    }

    /** Changes the slots. */
    @Actor
    public void changer() {
      swap.change();
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(I_Result result) {
      result.r1 = swap.missing();
    }
  }

  /** The shipped classes; nobody looks into the old slot after the swap. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "every write is found")
  @Outcome(
      id = "[1-9]",
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost: marked in the old slot, and not merged after the handshake")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Swap swap = new Swap(DirtyLog.builder(), NoMerge::new);

    /** The vCPU. */
    @Actor
    public void vcpu() {
      swap.vcpu();
    }

    /** Changes the slots. */
    @Actor
    public void changer() {
      swap.change();
    }

    /**
     * Judges.
     *
     * @param result the result
     */
    @Arbiter
    public void judge(I_Result result) {
      result.r1 = swap.missing();
    }
  }

  private static final class NoMerge extends ForwardingTracker {
    private boolean removed;

    NoMerge(Tracker backend) {
      super(backend);
    }

    @Override
    protected void remove(TrackedSlot slot, SlotTracker to) {
      super.remove(slot, to);
      removed = true;
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      if (slot.id() != 0 || !removed) {
        super.collect(slot, to, sink);
      }
    }
  }

  private static final class Swap {
    private final Pace pace = new Pace();
    private final DirtyLog log;
    private final LogVcpu vcpu;
    private final DirtyClient<LogSlot> client;
    private final LogSlot old;
    private final EmbeddedLog embedded;
    private final MapLock lock;
    private LogSlot held; // the vCPU's own
    private volatile LogSlot current;
    private int found;

    Swap(DirtyLogBuilder builder, UnaryOperator<Tracker> interceptor) {
      log = builder.interceptTracker(interceptor).build();
      old = log.addSlot(0, Ram.PAGES, 1);
      held = old;
      current = old;
      vcpu = log.addVcpu(() -> held = current);
      client = log.client("first", InitialView.NONE_DIRTY);
      embedded = EmbeddedLog.of(log);
      lock = embedded.newLock("a change");
    }

    void vcpu() {
      vcpu.online();
      pace.meet(SPREAD);
      for (int page = 0; page < Ram.PAGES; page++) {
        vcpu.mark(held, page, 1);
        vcpu.safepoint();
      }
      vcpu.offline();
    }

    void change() {
      pace.meet(SPREAD);
      MapChange change = embedded.beginChange(lock, true);
      LogSlot next = change.add(1, Ram.PAGES, 1);
      change.remove(old, () -> {});
      change.carry(old, 0, next, 0, Ram.PAGES);
      change.swap(() -> current = next);
      change.end();
      change.retire();
    }

    int missing() {
      try (var batch = client.take()) {
        batch.forEachRun((slot, first, count) -> {
          for (long page = first; page < first + count; page++) {
            found |= 1 << page;
          }
        });
      }
      return Integer.bitCount(ALL & ~found);
    }
  }
}
