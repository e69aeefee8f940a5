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
 * A vCPU leaves while a changer is about to sleep until it has left. r1: whether the vCPU saw the
 * flag, and wakes the changer; r2: whether the changer saw it inside, and sleeps. Design 3.6.
 *
 * <p>ORDER I2, I3.
 */
public class InhibitWakeStress {
  private InhibitWakeStress() {}

  private static final int SPREAD = 200;

  /** The idea: each stores its own word, then loads the other's. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "sleeps, and is woken")
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "does not sleep")
  @Outcome(expect = FORBIDDEN, desc = "sleeps, and nobody wakes it")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelGuest words = new ModelGuest();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      words.setVolatile(ModelGuest.ONLINE, 1);
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      words.setVolatile(ModelGuest.ONLINE, 0); // I3
      result.r1 = (int) words.getVolatile(ModelGuest.REQUEST);
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
      result.r2 = (int) words.getVolatile(ModelGuest.ONLINE);
    }
  }

  /** No fence in leave: a release store. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "sleeps, and is woken")
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "does not sleep")
  @Outcome(
      id = "0, 1",
      expect = ACCEPTABLE_INTERESTING,
      desc = "sleeps, and nobody wakes it: the wake-up is lost")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelGuest words = new ModelGuest();

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      words.setVolatile(ModelGuest.ONLINE, 1);
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      words.setRelease(ModelGuest.ONLINE, 0);
      result.r1 = (int) words.getVolatile(ModelGuest.REQUEST);
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
      result.r2 = (int) words.getVolatile(ModelGuest.ONLINE);
    }
  }

  /**
   * The shipped classes. A changer whose wake-up is lost looks again after a second, for threads
   * that have died: r2 is whether it took that long. r1: 0.
   */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "was woken, or did not sleep")
  @Outcome(expect = FORBIDDEN, desc = "nobody woke it")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final AccessInhibitor inhibitor =
        AccessInhibitor.create(Duration.ofSeconds(60), e -> {});
    private final InhibitableAccess access = inhibitor.addAccess(() -> {});

    /** The vCPU. */
    @Actor
    public void vcpu() {
      access.enter();
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
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
      long start = System.nanoTime();
      inhibitor.inhibit().close();
      result.r2 = System.nanoTime() - start < 900_000_000L ? 0 : 1;
    }
  }
}
