package dev.smudge.testkit;

import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Arrays;

/**
 * A planted fault that a {@link LockStep} must find: a clear takes all pages in its range, not only
 * those that were fetched. It loses writes of trackers whose slots have bitmaps to clear.
 */
public final class ClearsAll extends ForwardingTracker {
  /** Puts the fault in front of a tracker. */
  public ClearsAll(Tracker tracker) {
    super(tracker);
  }

  @Override
  protected void clear(
      TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
    long[] all = new long[bitmap.length];
    Arrays.fill(all, -1L);
    super.clear(slot, to, firstPage, pageCount, all);
  }
}
