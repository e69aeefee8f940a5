package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.inhibitor.AccessInhibitor;
import dev.smudge.sync.inhibitor.InhibitableAccess;
import java.time.Duration;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A slot is deleted and added while accesses are inhibited, and a vCPU enters. r1: what the vCPU
 * found inside: the old slot (1), the new one (2), neither (0); r2: 1 if what it did inside is seen
 * by the changer only in part. Bug 17, design 3.6.
 *
 * <p>ORDER I1, I2, I4, I5.
 */
public class InhibitStress {
  private InhibitStress() {}

  private static final int SPREAD = 200;

  /** A table of one slot, in plain fields; and a guest that writes two words while it is inside. */
  private static final class Table {
    int slot = 1;
    int one;
    int other;

    /** What a vCPU finds inside: the slot may go at any time but this. */
    int run(Pace pace) {
      int before = slot;
      one = 1;
      pace.pass(SPREAD / 4);
      other = 1;
      return before == slot ? before : 0;
    }

    /** The change; whether the guest's words are seen in part. */
    int change(Pace pace) {
      int torn = one == other ? 0 : 1;
      slot = 0;
      pace.pass(SPREAD / 4);
      slot = 2;
      return torn;
    }
  }

  /** The idea: each stores its own word, then loads the other's. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "the vCPU was inside before the change")
  @Outcome(id = "2, 0", expect = ACCEPTABLE, desc = "the vCPU was inside after the change")
  @Outcome(expect = FORBIDDEN, desc = "the vCPU was inside while the slot was changed")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final Table table = new Table();
    private final ModelGuest words = new ModelGuest();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      words.setVolatile(ModelGuest.ONLINE, 1); // I1
      while (words.getVolatile(ModelGuest.REQUEST) != 0) {
        words.setVolatile(ModelGuest.ONLINE, 0);
        Thread.onSpinWait();
        words.setVolatile(ModelGuest.ONLINE, 1);
      }
      result.r1 = table.run(pace);
      words.setVolatile(ModelGuest.ONLINE, 0); // I3
    }

    /**
     * The changer.
     *
     * @param result the result
     */
    @Actor
    public void changer(II_Result result) {
      pace.meet(SPREAD);
      words.setVolatile(ModelGuest.REQUEST, 1); // I2
      while (words.getVolatile(ModelGuest.ONLINE) != 0) {
        Thread.onSpinWait();
      }
      result.r2 = table.change(pace);
      words.setVolatile(ModelGuest.REQUEST, 0); // I4
    }
  }

  /** No fence in enter: a release store. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "the vCPU was inside before the change")
  @Outcome(id = "2, 0", expect = ACCEPTABLE, desc = "the vCPU was inside after the change")
  @Outcome(
      id = "[012], [01]",
      expect = ACCEPTABLE_INTERESTING,
      desc = "the vCPU was inside while the slot was changed")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final Table table = new Table();
    private final ModelGuest words = new ModelGuest();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      words.setRelease(ModelGuest.ONLINE, 1);
      while (words.getVolatile(ModelGuest.REQUEST) != 0) {
        words.setVolatile(ModelGuest.ONLINE, 0);
        Thread.onSpinWait();
        words.setVolatile(ModelGuest.ONLINE, 1);
      }
      result.r1 = table.run(pace);
      words.setVolatile(ModelGuest.ONLINE, 0); // I3
    }

    /**
     * The changer.
     *
     * @param result the result
     */
    @Actor
    public void changer(II_Result result) {
      pace.meet(SPREAD);
      words.setVolatile(ModelGuest.REQUEST, 1); // I2
      while (words.getVolatile(ModelGuest.ONLINE) != 0) {
        Thread.onSpinWait();
      }
      result.r2 = table.change(pace);
      words.setVolatile(ModelGuest.REQUEST, 0); // I4
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "the vCPU was inside before the change")
  @Outcome(id = "2, 0", expect = ACCEPTABLE, desc = "the vCPU was inside after the change")
  @Outcome(expect = FORBIDDEN, desc = "the vCPU was inside while the slot was changed")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Table table = new Table();
    private final AccessInhibitor inhibitor =
        AccessInhibitor.create(Duration.ofSeconds(60), e -> {});
    private final InhibitableAccess access = inhibitor.addAccess(() -> {});

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      access.enter(); // the first one takes a lock
      access.leave();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      access.enter();
      result.r1 = table.run(pace);
      access.leave();
    }

    /**
     * The changer.
     *
     * @param result the result
     */
    @Actor
    public void changer(II_Result result) {
      pace.meet(SPREAD);
      try (AccessInhibitor.Hold hold = inhibitor.inhibit()) {
        result.r2 = hold == null ? 2 : table.change(pace);
      }
    }
  }
}
