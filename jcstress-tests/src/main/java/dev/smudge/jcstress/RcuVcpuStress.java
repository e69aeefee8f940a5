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
 * A section of a vCPU, with safepoints inside, against reclaim. r1: whether the vCPU found the
 * element that is unlinked; r2: whether it was reclaimed when the vCPU read it. Design 3.7, bug 26.
 *
 * <p>ORDER U3, U4, U5.
 */
public class RcuVcpuStress {
  private RcuVcpuStress() {}

  private static final int SPREAD = 100;
  private static final int SAFEPOINTS = 20;

  /** The idea: at a safepoint in a section the word comes before the acknowledgement. */
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
      for (int i = 0; i < SAFEPOINTS; i++) {
        if (model.getAcquire(ModelRcu.REQUEST) != 0) {
          model.setRelease(ModelRcu.WORD, 1); // U4
          model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S2
        }
        pace.pass(SPREAD);
      }
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      model.setRelease(ModelRcu.WORD, 0); // U2
      model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S4
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      model.setVolatile(ModelRcu.REQUEST, 1); // S1
      model.await(ModelRcu.ACKNOWLEDGED, false);
      model.await(ModelRcu.WORD, true);
      model.reclaim();
    }
  }

  /** The safepoint does not publish the section. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed: the safepoint was taken for the end of the section")
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
      for (int i = 0; i < SAFEPOINTS; i++) {
        if (model.getAcquire(ModelRcu.REQUEST) != 0) {
          model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S2
        }
        pace.pass(SPREAD);
      }
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      model.setRelease(ModelRcu.WORD, 0); // U2
      model.setRelease(ModelRcu.ACKNOWLEDGED, 1); // S4
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      model.setVolatile(ModelRcu.REQUEST, 1); // S1
      model.await(ModelRcu.ACKNOWLEDGED, false);
      model.await(ModelRcu.WORD, true);
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
      rcu.enter();
      int element = model.find();
      for (int i = 0; i < SAFEPOINTS; i++) {
        vcpu.safepoint();
        pace.pass(SPREAD);
      }
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      rcu.exit();
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

  /** The shipped classes; it goes offline inside the section. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class ActualOffline {
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
      vcpu.online();
      vcpu.offline();
      vcpu.online();
      rcu.enter();
      int element = model.find();
      vcpu.offline();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      rcu.exit();
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

  /** The shipped classes; the updater waits for safepoints only. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed: the safepoint was taken for the end of the section")
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
      rcu.enter();
      int element = model.find();
      for (int i = 0; i < SAFEPOINTS; i++) {
        vcpu.safepoint();
        pace.pass(SPREAD);
      }
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      rcu.exit();
      vcpu.offline();
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      log.barrier();
      model.reclaim();
    }
  }
}
