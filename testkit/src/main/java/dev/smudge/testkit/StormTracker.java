package dev.smudge.testkit;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Random;

/** Throws now and then, before or after what was asked for is done. */
final class StormTracker extends ForwardingTracker {
  /** What it throws, if not an Error. */
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Fault() {
      super("a fault of the storm");
    }
  }

  private static final int ONE_IN = 150;

  private final Random random;
  private volatile boolean calm;
  private boolean changeFailed; // under the collector lock

  StormTracker(Tracker tracker, long seed) {
    super(tracker);
    random = new Random(seed);
  }

  /** Throws no more. */
  void calm() {
    calm = true;
  }

  /** Changes of a slot fail once: a log that undoes one leaves what fails in that as well. */
  private void changePoint() {
    boolean before = changeFailed;
    changeFailed = false;
    if (!before) {
      changeFailed = true;
      point();
      changeFailed = false;
    }
  }

  private void point() {
    if (!calm && random.nextInt(ONE_IN) == 0) {
      if (random.nextBoolean()) {
        throw new Fault();
      }
      throw new OutOfMemoryError("of the storm");
    }
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    point();
    int count = super.reapRings(sink);
    point();
    return count;
  }

  @Override
  protected void add(TrackedSlot slot, SlotTracker to) {
    changePoint();
    super.add(slot, to);
  }

  @Override
  protected void start(TrackedSlot slot, SlotTracker to) {
    changePoint();
    super.start(slot, to);
  }

  @Override
  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
    point();
    super.collect(slot, to, sink);
    point();
  }

  @Override
  protected void clear(
      TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
    point();
    super.clear(slot, to, firstPage, pageCount, bitmap);
    point();
  }

  @Override
  protected void remove(TrackedSlot slot, SlotTracker to) {
    changePoint();
    super.remove(slot, to);
  }
}
