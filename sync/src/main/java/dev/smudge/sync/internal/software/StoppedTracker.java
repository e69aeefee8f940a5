package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.internal.collect.ClearingTracker;
import dev.smudge.sync.internal.collect.HostMarks;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.tracker.TrackedSlot;

/**
 * For a guest that is stopped while its pages are taken: the embedder promises that nothing writes
 * then. So there are no vCPUs, and no barrier; every mark is that of a writer without a vCPU, and
 * tests the live bit first.
 */
public final class StoppedTracker extends SoftwareTracker {
  /** Makes one. */
  public StoppedTracker() {}

  @Override
  LivePart<?> newPart(TrackedSlot slot) {
    return new Part(slot);
  }

  @Override
  public HostMarks hostMarks(Slot slot, ArmableBitmap live) {
    LiveBitmap bitmap = (LiveBitmap) live;
    return new HostMarks() {
      @Override
      public long mark(long firstPage, long count) {
        return bitmap.markRange(firstPage, count);
      }

      @Override
      public void drain(PageWordConsumer sink) {
        // Collected with the slot.
      }
    };
  }

  @Override
  public VcpuMarks newMarks() {
    throw new IllegalStateException(
        "a log made by buildStopped has no vCPUs: use DirtyLog.mark, or DirtyLog.create()");
  }

  private static final class Part extends LivePart<LiveBitmap> implements ClearingTracker {
    Part(TrackedSlot slot) {
      super(slot, new LiveBitmap(slot.pageCount()));
    }

    @Override
    public void collect(PageWordConsumer sink) {
      live.fetch(true, sink); // no marker is half-way
    }

    @Override
    public boolean collectAndClear(PageSet[] views) {
      return live.moveInto(true, views);
    }
  }

  @Override
  public String toString() {
    return "StoppedTracker";
  }
}
