package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.sync.error.VcpuException;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A vCPU that is offline is closed by one thread while another brings it online: one of them is
 * refused. r1: whether it came online (1), and was closed while it was (2); r2: whether it was
 * closed. Design 3.3, bug 13.
 *
 * <p>ORDER S8.
 */
public class CloseStress {
  private CloseStress() {}

  private static final int SPREAD = 100;

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "closed; coming online was refused")
  @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "online; closing was refused")
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "online, and closed after that")
  @Outcome(
      expect = FORBIDDEN,
      desc = "closed while online: no barrier waits for it, and its writes are lost")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final Guest guest = new Guest();
    private volatile boolean closed;

    /**
     * The vCPU.
     *
     * @param result the result
     */
    @Actor
    public void vcpu(II_Result result) {
      pace.meet(SPREAD);
      try {
        guest.vcpu.online();
        pace.pass(SPREAD);
        result.r1 = closed ? 2 : 1;
        guest.vcpu.offline();
      } catch (VcpuException e) {
        result.r1 = 0;
      }
    }

    /**
     * Another thread closes the vCPU.
     *
     * @param result the result
     */
    @Actor
    public void other(II_Result result) {
      pace.meet(SPREAD);
      try {
        guest.vcpu.close();
        closed = true;
        result.r2 = 1;
      } catch (VcpuException e) {
        result.r2 = 0;
      }
    }
  }
}
