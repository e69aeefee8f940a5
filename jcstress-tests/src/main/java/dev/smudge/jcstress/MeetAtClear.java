package dev.smudge.jcstress;

import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;

/** The collector meets the guest just before it clears, for the first time. */
class MeetAtClear extends ForwardingTracker {
  private final Pace pace;

  MeetAtClear(Tracker backend, Pace pace) {
    super(backend);
    this.pace = pace;
  }

  @Override
  protected void clear(
      TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
    pace.meet();
    super.clear(slot, to, firstPage, pageCount, bitmap);
  }
}
