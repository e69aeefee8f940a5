package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A listener is unregistered while another thread calls it. r1: what the call saw of close (0:
 * nothing, 1: it was over, or came meanwhile); r2: how often close was called. Design 3.7.
 *
 * <p>ORDER M1.
 */
public class UnregisterStress {
  private UnregisterStress() {}

  private static final int SPREAD = 50;

  /** What is called, and must not be when it is closed. */
  private static class Fragile implements Tracker {
    final Pace pace;
    volatile int closes;
    int sawClose;

    Fragile(Pace pace) {
      this.pace = pace;
    }

    void call() {
      if (closes != 0) {
        sawClose = 1;
      }
      pace.pass(SPREAD);
      if (closes != 0) {
        sawClose = 1;
      }
    }

    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return new SlotTracker() {
        @Override
        public void collect(PageWordConsumer sink) {
          if (closes != 0 || !Thread.currentThread().equals(closer)) { // the last is the closer's
            call();
          }
        }
      };
    }

    @Override
    public void afterSync() {
      call();
    }

    @Override
    @SuppressWarnings("NonAtomicVolatileUpdate") // one thread
    public void close() {
      closes++;
    }

    volatile Thread closer = Thread.currentThread();
  }

  /** The idea: a flag that is looked at in a section, and closed after the grace period. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "closed once, after the call, or not called")
  @Outcome(expect = FORBIDDEN, desc = "closed during a call, or before it")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Rcu rcu = Rcu.create();
    private final Fragile listener = new Fragile(pace);
    private volatile boolean unregistered;

    /**
     * A walk.
     *
     * @param result the result
     */
    @Actor
    public void walk(II_Result result) {
      pace.meet(SPREAD);
      rcu.enter();
      if (!unregistered) { // M1
        listener.call();
      }
      rcu.exit();
      result.r1 = listener.sawClose;
    }

    /**
     * Another thread unregisters it.
     *
     * @param result the result
     */
    @Actor
    public void unregister(II_Result result) {
      pace.meet(SPREAD);
      unregistered = true;
      rcu.callRcu(listener::close);
      rcu.barrier();
      result.r2 = listener.closes;
    }
  }

  /** Closed without a grace period. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "closed once, after the call, or not called")
  @Outcome(id = "1, 1", expect = ACCEPTABLE_INTERESTING, desc = "closed during a call")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final Rcu rcu = Rcu.create();
    private final Fragile listener = new Fragile(pace);
    private volatile boolean unregistered;

    /**
     * A walk.
     *
     * @param result the result
     */
    @Actor
    public void walk(II_Result result) {
      pace.meet(SPREAD);
      rcu.enter();
      if (!unregistered) {
        listener.call();
      }
      rcu.exit();
      result.r1 = listener.sawClose;
    }

    /**
     * Another thread unregisters it.
     *
     * @param result the result
     */
    @Actor
    public void unregister(II_Result result) {
      pace.meet(SPREAD);
      unregistered = true;
      listener.close();
      result.r2 = listener.closes;
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "closed once, after the call, or not called")
  @Outcome(expect = FORBIDDEN, desc = "closed during a call, or before it")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final DirtyLog log = DirtyLog.create();
    private final Fragile listener = new Fragile(pace);
    private final Registration registration;
    private final DirtyClient<LogSlot> client;

    /** Makes one. */
    public Actual() {
      log.addSlot(0, 1, 1);
      registration = log.addTracker(0, listener);
      client = log.client("client", InitialView.ALL_DIRTY);
    }

    /**
     * A walk.
     *
     * @param result the result
     */
    @Actor
    public void walk(II_Result result) {
      pace.meet(SPREAD);
      client.take().close();
      result.r1 = listener.sawClose;
    }

    /**
     * Another thread unregisters it.
     *
     * @param result the result
     */
    @Actor
    public void unregister(II_Result result) {
      listener.closer = Thread.currentThread();
      pace.meet(SPREAD);
      registration.close();
      log.rcu().barrier();
      result.r2 = listener.closes;
    }
  }
}
