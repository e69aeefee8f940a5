package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The seal: a device writes and marks while the log is sealed and then taken from for the last
 * time. r1: whether the last take has the page; r2: whether the write was reported. Design 3.2, bug
 * 24.
 *
 * <p>ORDER L1.
 */
public class SealStress {
  private SealStress() {}

  private static final int SPREAD = 200;

  /** The idea: mark, then look whether it is sealed; seal, then collect. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "collected")
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "reported as late")
  @Outcome(expect = FORBIDDEN, desc = "neither collected nor reported")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final AtomicBoolean marked = new AtomicBoolean();
    private final AtomicBoolean sealed = new AtomicBoolean();

    /**
     * A device.
     *
     * @param result the result
     */
    @Actor
    public void device(II_Result result) {
      pace.meet(SPREAD);
      marked.set(true);
      result.r2 = sealed.get() ? 1 : 0;
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      sealed.set(true); // L1
      result.r1 = marked.getAndSet(false) ? 1 : 0;
    }
  }

  /** Looks before it marks. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "collected")
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "reported as late")
  @Outcome(id = "0, 0", expect = ACCEPTABLE_INTERESTING, desc = "neither collected nor reported")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final AtomicBoolean marked = new AtomicBoolean();
    private final AtomicBoolean sealed = new AtomicBoolean();

    /**
     * A device.
     *
     * @param result the result
     */
    @Actor
    public void device(II_Result result) {
      pace.meet(SPREAD);
      boolean late = sealed.get();
      marked.set(true);
      result.r2 = late ? 1 : 0;
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      sealed.set(true); // L1
      result.r1 = marked.getAndSet(false) ? 1 : 0;
    }
  }

  /** Release and acquire only: the look passes the buffered mark. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "collected")
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "reported as late")
  @Outcome(id = "0, 0", expect = ACCEPTABLE_INTERESTING, desc = "neither collected nor reported")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedRelease {
    private final Pace pace = new Pace();
    private final AtomicBoolean marked = new AtomicBoolean();
    private final AtomicBoolean sealed = new AtomicBoolean();

    /**
     * A device.
     *
     * @param result the result
     */
    @Actor
    public void device(II_Result result) {
      pace.meet(SPREAD);
      marked.setRelease(true);
      result.r2 = sealed.getAcquire() ? 1 : 0;
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      sealed.setRelease(true);
      result.r1 = marked.getAcquire() ? 1 : 0;
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "collected")
  @Outcome(id = "[01], 1", expect = ACCEPTABLE, desc = "reported as late")
  @Outcome(expect = FORBIDDEN, desc = "neither collected nor reported")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final AtomicInteger reported = new AtomicInteger();
    private final DirtyLog log =
        DirtyLog.builder().errorHandler(e -> reported.incrementAndGet()).build();
    private final LogSlot slot = log.addSlot(0, 1, 1);
    private final DirtyClient<LogSlot> client = log.client("last", InitialView.NONE_DIRTY);

    /** A device. */
    @Actor
    public void device() {
      pace.meet(4 * SPREAD);
      log.mark(slot, 0, 1);
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet();
      log.seal();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        result.r1 = batch.pageCount() == 0 ? 0 : 1;
        batch.commit();
      }
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      result.r2 = reported.get();
    }
  }
}
