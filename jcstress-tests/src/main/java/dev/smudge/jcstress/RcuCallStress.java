package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.rcu.Rcu;
import java.util.concurrent.atomic.AtomicBoolean;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Tasks of two callers, each of which runs them in a barrier of its own. r1, r2: how many of the
 * first and of the second caller's tasks it finds run, once each and in order, after its barrier;
 * -1: not so. Design 3.7.
 *
 * <p>ORDER U6, U7.
 */
public class RcuCallStress {
  private RcuCallStress() {}

  private static final int SPREAD = 100;
  private static final int TASKS = 8;

  /** What the tasks of one caller do: plain on purpose. */
  private static final class Ran {
    private int count;

    void run(int number) {
      count = count == number ? number + 1 : -1000;
    }

    int judge() {
      return count == TASKS ? TASKS : -1;
    }
  }

  /** A list of tasks, and whose turn it is. */
  private static final class ModelQueue {
    private final AtomicBoolean turn = new AtomicBoolean();
    private final Ran[] ran = {new Ran(), new Ran()};
    private final boolean atomic;
    private int next;

    ModelQueue(boolean atomic) {
      this.atomic = atomic;
    }

    private boolean takeTurn() {
      if (atomic) {
        return turn.compareAndSet(false, true); // U6
      }
      if (turn.get()) {
        return false;
      }
      turn.set(true);
      return true;
    }

    int runAll(Ran mine) {
      boolean done = false;
      while (!done) {
        if (takeTurn()) {
          if (next < TASKS) {
            ran[0].run(next);
            ran[1].run(next);
            next++;
          }
          done = next >= TASKS;
          turn.set(false); // U6
        }
      }
      return mine.judge();
    }
  }

  /** The idea: who has the turn runs a task, and gives the turn back. */
  @JCStressTest
  @Outcome(id = "8, 8", expect = ACCEPTABLE, desc = "all ran, once and in order")
  @Outcome(expect = FORBIDDEN, desc = "a task that ran twice, late, out of order or not at all")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelQueue queue = new ModelQueue(true);

    /**
     * The first caller.
     *
     * @param result the result
     */
    @Actor
    public void first(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = queue.runAll(queue.ran[0]);
    }

    /**
     * The second caller.
     *
     * @param result the result
     */
    @Actor
    public void second(II_Result result) {
      pace.meet(SPREAD);
      result.r2 = queue.runAll(queue.ran[1]);
    }
  }

  /** The turn is looked at and then taken. */
  @JCStressTest
  @Outcome(id = "8, 8", expect = ACCEPTABLE, desc = "all ran, once and in order")
  @Outcome(
      id = {"-1, .*", ".*, -1"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "two threads had the turn")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelQueue queue = new ModelQueue(false);

    /**
     * The first caller.
     *
     * @param result the result
     */
    @Actor
    public void first(II_Result result) {
      pace.meet(SPREAD);
      result.r1 = queue.runAll(queue.ran[0]);
    }

    /**
     * The second caller.
     *
     * @param result the result
     */
    @Actor
    public void second(II_Result result) {
      pace.meet(SPREAD);
      result.r2 = queue.runAll(queue.ran[1]);
    }
  }

  /** The shipped class. */
  @JCStressTest
  @Outcome(id = "8, 8", expect = ACCEPTABLE, desc = "all ran, once and in order")
  @Outcome(expect = FORBIDDEN, desc = "a task that ran twice, late, out of order or not at all")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Rcu rcu = Rcu.create();
    private final Ran ran1 = new Ran();
    private final Ran ran2 = new Ran();

    /**
     * The first caller.
     *
     * @param result the result
     */
    @Actor
    public void first(II_Result result) {
      pace.meet(SPREAD);
      for (int i = 0; i < TASKS; i++) {
        int number = i;
        rcu.callRcu(() -> ran1.run(number));
      }
      rcu.barrier();
      result.r1 = ran1.judge();
    }

    /**
     * The second caller.
     *
     * @param result the result
     */
    @Actor
    public void second(II_Result result) {
      pace.meet(SPREAD);
      for (int i = 0; i < TASKS; i++) {
        int number = i;
        rcu.callRcu(() -> ran2.run(number));
      }
      rcu.barrier();
      result.r2 = ran2.judge();
    }
  }

  /** The shipped class; the first caller waits for the readers only, not for its tasks. */
  @JCStressTest
  @Outcome(id = "8, 8", expect = ACCEPTABLE, desc = "all ran, once and in order")
  @Outcome(
      id = "-1, 8",
      expect = ACCEPTABLE_INTERESTING,
      desc = "a grace period is over, and tasks have not run")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedSynchronize {
    private final Pace pace = new Pace();
    private final Rcu rcu = Rcu.create();
    private final Ran ran1 = new Ran();
    private final Ran ran2 = new Ran();

    /**
     * The first caller.
     *
     * @param result the result
     */
    @Actor
    public void first(II_Result result) {
      pace.meet(SPREAD);
      for (int i = 0; i < TASKS; i++) {
        int number = i;
        rcu.callRcu(() -> ran1.run(number));
      }
      rcu.synchronize();
      result.r1 = ran1.judge();
    }

    /**
     * The second caller.
     *
     * @param result the result
     */
    @Actor
    public void second(II_Result result) {
      pace.meet(SPREAD);
      for (int i = 0; i < TASKS; i++) {
        int number = i;
        rcu.callRcu(() -> ran2.run(number));
      }
      rcu.barrier();
      result.r2 = ran2.judge();
    }
  }

  /** The shipped classes: a barrier of a vCPU against a synchronize of another. */
  @JCStressTest
  @Outcome(id = "8, 8", expect = ACCEPTABLE, desc = "all ran, once and in order")
  @Outcome(expect = FORBIDDEN, desc = "a task that ran twice, late, out of order or not at all")
  @State
  public static class ActualVcpus {
    private final Pace pace = new Pace();
    private final DirtyLog log = DirtyLog.create();
    private final LogVcpu vcpu1 = log.addVcpu();
    private final LogVcpu vcpu2 = log.addVcpu();
    private final Rcu rcu = log.rcu();
    private final Ran ran1 = new Ran();

    /**
     * The first caller.
     *
     * @param result the result
     */
    @Actor
    public void first(II_Result result) {
      vcpu1.online();
      pace.meet(SPREAD);
      for (int i = 0; i < TASKS; i++) {
        int number = i;
        rcu.callRcu(() -> ran1.run(number));
      }
      rcu.barrier();
      result.r1 = ran1.judge();
      vcpu1.offline();
    }

    /**
     * The second caller.
     *
     * @param result the result
     */
    @Actor
    public void second(II_Result result) {
      vcpu2.online();
      pace.meet(SPREAD);
      rcu.synchronize();
      rcu.enter();
      vcpu2.safepoint();
      rcu.exit();
      rcu.synchronize();
      vcpu2.offline();
      result.r2 = TASKS;
    }
  }
}
