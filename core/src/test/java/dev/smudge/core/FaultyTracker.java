package dev.smudge.core;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import org.jspecify.annotations.Nullable;

/** A backend one of whose calls fails, or some in a row. For one thread. */
final class FaultyTracker extends ForwardingTracker {
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Fault() {
      super("a fault that was asked for");
    }
  }

  int untilFault = -1; // calls
  int faults = 1; // in a row, from that call on
  @Nullable Throwable error; // that they throw; null: a Fault

  FaultyTracker(Tracker backend) {
    super(backend);
  }

  private void point() {
    if (untilFault > 0 && --untilFault == 0) {
      if (faults > 1) {
        faults--;
        untilFault = 1;
      }
      FaultyTracker.<RuntimeException>sneak(error == null ? new Fault() : error);
    }
  }

  /** Throws a checked exception too, as other languages do. */
  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals", "DoNotCallSuggester"})
  static <E extends Throwable> void sneak(Throwable e) throws E {
    throw (E) e;
  }

  @Override
  protected void add(TrackedSlot slot, SlotTracker to) {
    point();
    super.add(slot, to);
  }

  @Override
  protected void remove(TrackedSlot slot, SlotTracker to) {
    point();
    super.remove(slot, to);
  }

  @Override
  protected void start(TrackedSlot slot, SlotTracker to) {
    point();
    super.start(slot, to);
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    point();
    return super.reapRings(sink);
  }

  @Override
  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
    point();
    super.collect(slot, to, sink);
  }

  @Override
  protected void clear(
      TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
    point();
    super.clear(slot, to, firstPage, pageCount, bitmap);
  }
}
