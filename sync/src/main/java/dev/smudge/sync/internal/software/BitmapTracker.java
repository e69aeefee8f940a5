package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.internal.collect.ClearingTracker;
import dev.smudge.sync.internal.vcpu.Handshake;
import dev.smudge.sync.internal.vcpu.RingRoom;
import dev.smudge.sync.tracker.TrackedSlot;
import org.jspecify.annotations.Nullable;

/** vCPUs mark in a live bitmap per slot: test, then mark. */
public final class BitmapTracker extends SoftwareTracker {
  private static final VcpuMarks MARKS =
      new VcpuMarks() {
        @Override
        public long mark(ArmableBitmap live, int entryId, long firstPage, long lastPage) {
          return ((LiveBitmap) live).markRange(firstPage, lastPage - firstPage + 1);
        }

        @Override
        public @Nullable RingRoom ring() {
          return null;
        }
      };

  private final Handshake handshake;

  /** Makes one whose vCPUs take part in a handshake. */
  public BitmapTracker(Handshake handshake) {
    this.handshake = handshake;
  }

  @Override
  LivePart<?> newPart(TrackedSlot slot) {
    return new Part(slot);
  }

  @Override
  public VcpuMarks newMarks() {
    return MARKS;
  }

  @Override
  public void afterSync() {
    handshake.barrier();
  }

  private final class Part extends LivePart<LiveBitmap> implements ClearingTracker {
    private long lastFetchRequest; // the barrier request of the time of the last fetch

    Part(TrackedSlot slot) {
      super(slot, new LiveBitmap(slot.pageCount()));
    }

    @Override
    public void collect(PageWordConsumer sink) {
      boolean quiesced = beginFetch();
      try {
        live.fetch(quiesced, sink);
      } finally {
        endFetch();
      }
    }

    @Override
    public boolean collectAndClear(PageSet[] views) {
      boolean quiesced = beginFetch();
      try {
        return live.moveInto(quiesced, views);
      } finally {
        endFetch();
      }
    }

    private boolean beginFetch() {
      // Read before the fetch: a barrier that ends during it proves nothing about this fetch's end.
      boolean quiesced = handshake.completed() > lastFetchRequest;
      lastFetchRequest = Long.MAX_VALUE; // not quiesced, should even the last step be cut short
      return quiesced;
    }

    /** Also after an exception: the summary bits that were taken until then are suspects now. */
    private void endFetch() {
      lastFetchRequest = handshake.requestedAtEndOfFetch();
    }
  }

  @Override
  public String toString() {
    return "BitmapTracker";
  }
}
