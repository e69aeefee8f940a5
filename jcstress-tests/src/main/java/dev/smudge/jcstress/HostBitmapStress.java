package dev.smudge.jcstress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.smudge.bitmap.HostBitmap;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The bitmap of the devices is made by the first of them. Two come at once: r1 and r2 say whether
 * each one's mark is found afterwards. Design 3.2.
 *
 * <p>ORDER H1.
 */
public class HostBitmapStress {
  private HostBitmapStress() {}

  private static final int SPREAD = 50;

  /** The idea: whoever comes second uses the bitmap of the first. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks were found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Model {
    private final Pace pace = new Pace();
    private final AtomicReference<@Nullable HostBitmap> host = new AtomicReference<>();

    /** A device. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      mark(0);
    }

    /** Another device. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      mark(1);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      HostBitmap bitmap = host.get();
      if (bitmap != null) {
        long[] marked = new long[1];
        bitmap.drain((wordIndex, bits) -> marked[0] |= bits);
        result.r1 = (int) (marked[0] & 1);
        result.r2 = (int) (marked[0] >>> 1 & 1);
      }
    }

    private void mark(int page) {
      HostBitmap bitmap = host.get();
      if (bitmap == null) {
        bitmap = new HostBitmap(2);
        HostBitmap other = host.compareAndExchange(null, bitmap); // H1
        bitmap = other == null ? bitmap : other;
      }
      bitmap.markAlways(page, 1);
    }
  }

  /** Whoever comes second puts a bitmap of its own in the place of the first. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks were found")
  @Outcome(
      id = {"0, 1", "1, 0"},
      expect = ACCEPTABLE_INTERESTING,
      desc = "lost with the bitmap that it was in")
  @Outcome(expect = FORBIDDEN, desc = "nothing else can happen")
  @State
  public static class Weakened {
    private final Pace pace = new Pace();
    private final AtomicReference<@Nullable HostBitmap> host = new AtomicReference<>();

    /** A device. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      mark(0);
    }

    /** Another device. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      mark(1);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      HostBitmap bitmap = host.get();
      if (bitmap != null) {
        long[] marked = new long[1];
        bitmap.drain((wordIndex, bits) -> marked[0] |= bits);
        result.r1 = (int) (marked[0] & 1);
        result.r2 = (int) (marked[0] >>> 1 & 1);
      }
    }

    private void mark(int page) {
      HostBitmap bitmap = host.get();
      if (bitmap == null) {
        bitmap = new HostBitmap(2);
        host.set(bitmap);
      }
      bitmap.markAlways(page, 1);
    }
  }

  /** The shipped classes. */
  @JCStressTest
  @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both marks were found")
  @Outcome(expect = FORBIDDEN, desc = "a lost write")
  @State
  public static class Actual {
    private final Pace pace = new Pace();
    private final DirtyLog log = DirtyLog.create();
    private final LogSlot slot = log.addSlot(0, 2, 1);
    private final DirtyClient<LogSlot> client = log.client("first", InitialView.NONE_DIRTY);

    /** A device. */
    @Actor
    public void first() {
      pace.meet(SPREAD);
      log.mark(slot, 0, 1);
    }

    /** Another device. */
    @Actor
    public void second() {
      pace.meet(SPREAD);
      log.mark(slot, 1, 1);
    }

    /**
     * The next round.
     *
     * @param result the result
     */
    @Arbiter
    public void next(II_Result result) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        batch.forEachRun((slotId, first, count) -> {
          result.r1 |= first == 0 ? 1 : 0;
          result.r2 |= first + count == 2 ? 1 : 0;
        });
        batch.commit();
      }
    }
  }
}
