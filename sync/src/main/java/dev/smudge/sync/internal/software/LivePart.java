package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;

/** The part of a slot whose writes are marked in a live bitmap: what all such trackers do alike. */
abstract class LivePart<B extends ArmableBitmap> implements SlotTracker {
  final TrackedSlot slot;
  final B live;
  private boolean added; // once is enough: after a change that failed, what is watched stays so

  LivePart(TrackedSlot slot, B live) {
    this.slot = slot;
    this.live = live;
  }

  @Override
  public void add() {
    if (!added) {
      live.disarm();
      added = true;
    }
  }

  @Override
  public final void stop() {
    live.disarm();
  }

  @Override
  public final void clear(long firstPage, long pageCount, long[] bitmap) {
    slot.checkClearRange(firstPage, pageCount, bitmap);
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    for (int w = 0; w < words; w++) {
      if (bitmap[w] != 0) {
        live.clearWord(firstWord + w, bitmap[w]);
      }
    }
  }

  /** No late mark passes for one that is done. */
  @Override
  public void close() {
    live.clear(0, slot.pageCount());
  }
}
