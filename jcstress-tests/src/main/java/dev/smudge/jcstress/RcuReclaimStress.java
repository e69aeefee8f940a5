package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.rcu.Rcu;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A section against reclaim. r1: whether the reader found the element that is unlinked; r2: whether
 * it was reclaimed when the reader read it. Design 3.7, bug 26.
 *
 * <p>ORDER U1, U2, U3, U5.
 */
public class RcuReclaimStress {
  private RcuReclaimStress() {}

  private static final int SPREAD = 100;

  /** The idea: the word, full fence, the link; unlink, full fence, the word. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      model.setRelease(ModelRcu.WORD, 1);
      VarHandle.fullFence(); // U1
      int element = model.find();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      model.setRelease(ModelRcu.WORD, 0); // U2
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      VarHandle.fullFence(); // U1
      model.await(ModelRcu.WORD, true);
      model.reclaim();
    }
  }

  /** No fence after the word. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed: the look at the link passed the word; nobody waited")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      model.setRelease(ModelRcu.WORD, 1);
      int element = model.find();
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
      model.setRelease(ModelRcu.WORD, 0); // U2
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      VarHandle.fullFence(); // U1
      model.await(ModelRcu.WORD, true);
      model.reclaim();
    }
  }

  /** The word is 0 again before the element is read. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(
      id = "1, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "reclaimed before it was read: the section was over")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedExitFirst {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      model.setRelease(ModelRcu.WORD, 1);
      VarHandle.fullFence(); // U1
      int element = model.find();
      model.setRelease(ModelRcu.WORD, 0); // U2
      pace.pass(SPREAD);
      result.r1 = element == ModelRcu.OLD ? 1 : 0;
      result.r2 = model.read(element);
    }

    /** The updater. */
    @Actor
    public void updater() {
      pace.meet(SPREAD);
      model.unlink();
      VarHandle.fullFence(); // U1
      model.await(ModelRcu.WORD, true);
      model.reclaim();
    }
  }

  /** The shipped class; the thread has a section behind it. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final Rcu rcu = Rcu.create();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      rcu.enter();
      rcu.exit();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      rcu.enter();
      int element = model.find();
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

  /** The shipped class; it is the thread's first section, and a task that reclaims. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(expect = FORBIDDEN, desc = "read an element that was reclaimed")
  @State
  public static class ActualFirst {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final Rcu rcu = Rcu.create();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      rcu.enter();
      int element = model.find();
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
      rcu.callRcu(model::reclaim);
      rcu.barrier();
    }
  }

  /** The shipped class; the updater does not wait. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "found the old element, read it whole")
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "found the new element")
  @Outcome(id = "1, 1", expect = ACCEPTABLE_INTERESTING, desc = "reclaimed: nobody waited")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedNoWait {
    private final Pace pace = new Pace();
    private final ModelRcu model = new ModelRcu();
    private final Rcu rcu = Rcu.create();

    /**
     * The reader.
     *
     * @param result the result
     */
    @Actor
    public void reader(II_Result result) {
      rcu.enter();
      rcu.exit();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      rcu.enter();
      int element = model.find();
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
      model.reclaim();
    }
  }
}
