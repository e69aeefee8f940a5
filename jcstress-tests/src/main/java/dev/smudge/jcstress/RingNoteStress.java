package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * A ring that the kernel fills and resets: it resets entries, and a thread takes note, while
 * another harvests. r1: whether an entry was noted that had not been reset; r2: whether one that
 * had been is never noted. Design 3.5.
 *
 * <p>ORDER R5.
 */
public class RingNoteStress {
  private RingNoteStress() {}

  /** The idea: RESET, then how many were harvested; read the other way round. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "noted what was reset, all of it in the end")
  @Outcome(expect = FORBIDDEN, desc = "a page that is not armed was taken for armed")
  @State
  public static class Model {
    private final Kernel ring = new KernelModel();

    /** The collector. */
    @Actor
    public void harvester() {
      ring.harvestAll();
    }

    /** The thread that has the kernel reset entries, and takes note. */
    @Actor
    public void resetter() {
      ring.resetAndNote();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      ring.judge(result);
    }
  }

  /** The order of the stores that a weaker machine may show: the count, then RESET. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "noted what was reset, all of it in the end")
  @Outcome(
      id = "1, [01]",
      expect = ACCEPTABLE_INTERESTING,
      desc = "an entry that was about to be harvested was taken for given back")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class WeakenedCountFirst {
    private final Kernel ring =
        new KernelModel() {
          @Override
          void harvest(int entry) {
            harvested.setRelease(entry + 1);
            linger();
            setRelease(entry, RingLayout.RESET);
          }
        };

    /** The collector. */
    @Actor
    public void harvester() {
      ring.harvestAll();
    }

    /** The thread that has the kernel reset entries, and takes note. */
    @Actor
    public void resetter() {
      ring.resetAndNote();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      ring.judge(result);
    }
  }

  /** The shipped class. */
  @JCStressTest
  @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "noted what was reset, all of it in the end")
  @Outcome(expect = FORBIDDEN, desc = "a page that is not armed was taken for armed")
  @State
  public static class Actual {
    private final Kernel ring = new KernelRing();

    /** The collector. */
    @Actor
    public void harvester() {
      ring.harvestAll();
    }

    /** The thread that has the kernel reset entries, and takes note. */
    @Actor
    public void resetter() {
      ring.resetAndNote();
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      ring.judge(result);
    }
  }

  /** All entries are dirty at first. */
  private abstract static class Kernel {
    static final int ENTRIES = 16;
    private static final VarHandle INTS =
        MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

    final ByteBuffer memory = ByteBuffer.allocateDirect(ENTRIES * RingLayout.ENTRY_SIZE);
    private final Pace pace = new Pace();
    private int reset;
    private int noted;
    private boolean notedTooMany;

    Kernel() {
      for (int entry = 0; entry < ENTRIES; entry++) {
        setRelease(entry, RingLayout.DIRTY);
      }
    }

    abstract void harvest(int entry);

    /** Returns how many more were reset. */
    abstract int note();

    final void harvestAll() {
      pace.meet(100);
      for (int entry = 0; entry < ENTRIES; entry++) {
        harvest(entry);
      }
    }

    final void resetAndNote() {
      pace.meet(100);
      for (int i = 0; i < 4 * ENTRIES; i++) {
        resetOneAndNote();
      }
    }

    private void resetOneAndNote() {
      if (reset < ENTRIES && RingLayout.isHarvested(getAcquire(reset))) {
        setRelease(reset++, 0);
      }
      noted += note();
      notedTooMany |= noted > reset;
    }

    final void judge(II_Result result) {
      for (int i = 0; i <= ENTRIES; i++) {
        resetOneAndNote();
      }
      result.r1 = notedTooMany ? 1 : 0;
      result.r2 = noted == ENTRIES ? 0 : 1;
    }

    /** Lets the other actor come in between. */
    final void linger() {
      pace.pass(100);
    }

    final int getAcquire(int entry) {
      return (int) INTS.getAcquire(memory, entry * RingLayout.ENTRY_SIZE);
    }

    final void setRelease(int entry, int flags) {
      INTS.setRelease(memory, entry * RingLayout.ENTRY_SIZE, flags);
    }
  }

  private static class KernelModel extends Kernel {
    final AtomicInteger harvested = new AtomicInteger();
    private int next;

    @Override
    void harvest(int entry) {
      setRelease(entry, RingLayout.RESET); // R2
      harvested.setRelease(entry + 1); // R5
    }

    @Override
    int note() {
      int begin = next;
      int end = harvested.getAcquire(); // R5
      while (next < end && !RingLayout.isHarvested(getAcquire(next))) { // R2
        next++;
      }
      return next - begin;
    }
  }

  private static final class KernelRing extends Kernel {
    private final DirtyRing ring = DirtyRing.over(memory, 0);
    private final HarvestedPages[] pages = new HarvestedPages[ENTRIES];

    KernelRing() {
      for (int entry = 0; entry < ENTRIES; entry++) {
        pages[entry] = new HarvestedPages(1);
      }
    }

    @Override
    void harvest(int entry) {
      ring.harvester().harvest(pages[entry]);
    }

    @Override
    int note() {
      return ring.resetter().noteResets();
    }
  }
}
