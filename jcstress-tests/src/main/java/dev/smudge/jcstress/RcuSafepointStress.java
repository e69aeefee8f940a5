package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.rcu.Rcu;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A vCPU that reads without a section, and drops what it found before its next safepoint, against
 * reclaim. r1: whether it found the element that is unlinked; r2: whether it was reclaimed when the
 * vCPU read it. Design 3.7, bug 26.
 *
 * <p>ORDER S1, S2, S4, S5.
 */
public class RcuSafepointStress {
  private RcuSafepointStress() {}

  private static final int SPREAD = 100;
  private static final int SAFEPOINTS = 20;

  /** The idea: what was found is read, then the safepoint is acknowledged. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      int element = model.find();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      model.await(ModelRcu.REQUEST, false);
      model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S2
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      model.setVolatile(ModelRcu.REQUEST, 1); // S1
      model.await(ModelRcu.ACKNOWLEDGED, false);
      model.reclaim();
    }
  }

  /** What was found is read after the safepoint. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed: it was kept over a safepoint")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedModel {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      int element = model.find();
      model.await(ModelRcu.REQUEST, false);
      model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S2
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      model.setVolatile(ModelRcu.REQUEST, 1); // S1
      model.await(ModelRcu.ACKNOWLEDGED, false);
      model.reclaim();
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final DirtyLog log = DirtyLog.create();
    private final LogVcpu vcpu = log.addVcpu();
    private final Rcu rcu = log.rcu();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      vcpu.online();
      pace.meet(SPREAD);
      vcpu.safepoint();
      int element = model.find();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      vcpu.safepoint();
      pace.pass(SPREAD);
      vcpu.offline();
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      rcu.synchronize();
      model.reclaim();
    }
  }

  /** The shipped classes; it comes online meanwhile. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class ActualOnline {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final DirtyLog log = DirtyLog.create();
    private final LogVcpu vcpu = log.addVcpu();
    private final Rcu rcu = log.rcu();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      vcpu.online();
      int element = model.find();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      vcpu.offline();
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      rcu.synchronize();
      model.reclaim();
    }
  }

  /** The shipped classes; the vCPU keeps what it found over its safepoints. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed: it was kept over a safepoint")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final DirtyLog log = DirtyLog.create();
    private final LogVcpu vcpu = log.addVcpu();
    private final Rcu rcu = log.rcu();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      vcpu.online();
      pace.meet(SPREAD);
      int element = model.find();
      for (int i = 0; i < SAFEPOINTS; i++) {
        vcpu.safepoint();
        pace.pass(SPREAD);
      }
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      vcpu.offline();
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      rcu.synchronize();
      model.reclaim();
    }
  }
}
