package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.SlotTracker;

/** A tracker's part of a slot that can collect and clear in one step. */
public interface ClearingTracker extends SlotTracker {
  /**
   * Adds to every view what {@link #collect} would hand out, and clears it once all of them have
   * it. If it throws, what is in all views may be cleared, and the rest comes the next time.
   *
   * @return whether it has cleared anything
   */
  boolean collectAndClear(PageSet[] views);
}
