package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.internal.collect.ClearingTracker;
import dev.smudge.sync.internal.vcpu.Handshake;
import dev.smudge.sync.internal.vcpu.RingRoom;
import dev.smudge.sync.tracker.SlotTracker;
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
  public SlotTracker newSlot(TrackedSlot slot) {
    Part part = new Part(slot);
    prepared(slot.entryId(), part.live);
    return part;
  }

  @Override
  public VcpuMarks newMarks() {
    return MARKS;
  }

  @Override
  public void afterSync() {
    handshake.barrier();
  }

  private final class Part implements ClearingTracker {
    private final TrackedSlot slot;
    private final LiveBitmap live;
    private boolean added; // once is enough: after a change that failed, what is watched stays so
    private long lastFetchRequest; // the barrier request of the time of the last fetch

    Part(TrackedSlot slot) {
      this.slot = slot;
      this.live = new LiveBitmap(slot.pageCount());
    }

    @Override
    public void add() {
      if (!added) {
        live.disarm();
        added = true;
      }
    }

    @Override
    public void stop() {
      live.disarm();
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

    @Override
    public void clear(long firstPage, long pageCount, long[] bitmap) {
      slot.checkClearRange(firstPage, pageCount, bitmap);
      clearWords(live, firstPage, pageCount, bitmap);
    }

    /** No late mark passes for one that is done. */
    @Override
    public void close() {
      live.clear(0, slot.pageCount());
    }
  }

  static void clearWords(ArmableBitmap live, long firstPage, long pageCount, long[] bitmap) {
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    for (int w = 0; w < words; w++) {
      if (bitmap[w] != 0) {
        live.clearWord(firstWord + w, bitmap[w]);
      }
    }
  }

  @Override
  public String toString() {
    return "BitmapTracker";
  }
}
