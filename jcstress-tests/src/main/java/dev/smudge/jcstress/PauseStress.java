package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.VcpuPause;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The pause: while it is on, no vCPU writes. r1: whether the guest had written before; r2: what
 * changed in the pause. Design 3.3, 3.6.
 *
 * <p>ORDER S4, S5, S6.
 */
public class PauseStress {
  private PauseStress() {}

  private static final int SPREAD = 200;

  /**
   * The idea: store the state, full fence, load the pause; store the pause, full fence, load the
   * state.
   */
  @JCStressTest
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "nothing was written in the pause")
  @Outcome(expect = FORBIDDEN, desc = "the guest wrote in the pause")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.setRelease(ModelGuest.ONLINE, 1);
      VarHandle.fullFence(); // S5
      if (guest.getVolatile(ModelGuest.REQUEST) == 0) {
        guest.write(0, Ram.PAGES);
      }
      guest.setRelease(ModelGuest.ONLINE, 0); // S4
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      guest.setVolatile(ModelGuest.REQUEST, 1); // S6
      while (guest.getVolatile(ModelGuest.ONLINE) != 0) {
        Thread.onSpinWait();
      }
      int before = guest.ram.sum();
      pace.pass(SPREAD);
      result.r1 = before == 0 ? 0 : 1;
      result.r2 = guest.ram.sum() - before;
    }
  }

  /** No fence after the state. */
  @JCStressTest
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "nothing was written in the pause")
  @Outcome(
      id = "[01], .*",
      expect = ACCEPTABLE_INTERESTING,
      desc = "the guest wrote in the pause: it saw none, and was seen offline")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final ModelGuest guest = new ModelGuest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      Ram.fillStoreBuffer();
      guest.setRelease(ModelGuest.ONLINE, 1);
      if (guest.getVolatile(ModelGuest.REQUEST) == 0) {
        guest.write(0, Ram.PAGES);
      }
      guest.setRelease(ModelGuest.ONLINE, 0); // S4
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      pace.meet(SPREAD);
      guest.setVolatile(ModelGuest.REQUEST, 1); // S6
      while (guest.getVolatile(ModelGuest.ONLINE) != 0) {
        Thread.onSpinWait();
      }
      int before = guest.ram.sum();
      pace.pass(SPREAD);
      result.r1 = before == 0 ? 0 : 1;
      result.r2 = guest.ram.sum() - before;
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "[01], 0", expect = ACCEPTABLE, desc = "nothing was written in the pause")
  @Outcome(expect = FORBIDDEN, desc = "the guest wrote in the pause")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Guest guest = new Guest();

    /** The vCPU. */
    @Actor
    public void vcpu() {
      pace.meet(SPREAD);
      guest.vcpu.online();
      guest.writeAll(1);
      guest.vcpu.safepoint();
      guest.writeAll(2);
      guest.vcpu.offline();
    }

    /**
     * The collector.
     *
     * @param result the result
     */
    @Actor
    public void collector(II_Result result) {
      guest.shareState();
      pace.meet(SPREAD);
      VcpuPause pause = guest.log.pause();
      int before = guest.ram.sum();
      pace.pass(SPREAD);
      result.r1 = before == 0 ? 0 : 1;
      result.r2 = guest.ram.sum() - before;
      pause.close();
    }
  }
}
