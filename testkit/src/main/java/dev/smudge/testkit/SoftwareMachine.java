package dev.smudge.testkit;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.RingFullPolicy;
import dev.smudge.sync.tracker.Tracker;
import java.util.function.UnaryOperator;

/** A guest over a tracker that is built in. Its vCPU runs in the thread that calls it. */
public final class SoftwareMachine extends GuestMachine {
  private final Vcpu vcpu;

  private SoftwareMachine(DirtyLogBuilder options, boolean hasRing) {
    super(GuestMemory.over(options.build()), hasRing);
    vcpu = memory().addVcpu();
  }

  /** Makes a machine whose writes are found in bitmaps. */
  public static SoftwareMachine withBitmaps(UnaryOperator<Tracker> interceptor) {
    return new SoftwareMachine(DirtyLog.builder().interceptTracker(interceptor), false);
  }

  /** Makes a machine whose writes are found in a ring, and in a bitmap when the ring is full. */
  public static SoftwareMachine withRing(UnaryOperator<Tracker> interceptor) {
    DirtyLogBuilder options = DirtyLog.builder().interceptTracker(interceptor);
    return new SoftwareMachine(options.ring(256, 64, RingFullPolicy.SPILL), true);
  }

  /** As {@link #withRing}, with a ring that is full after three pages. */
  public static SoftwareMachine withTinyRing(UnaryOperator<Tracker> interceptor) {
    DirtyLogBuilder options = DirtyLog.builder().interceptTracker(interceptor);
    return new SoftwareMachine(options.ring(4, 1, RingFullPolicy.SPILL), true);
  }

  @Override
  public void write(long value, long... addresses) {
    for (long address : addresses) {
      vcpu.putLong(address, value);
      vcpu.safepoint();
    }
    vcpu.offline();
  }
}
