package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.collect.HostMarks;
import dev.smudge.sync.internal.collect.LazyHostMarks;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.counter.RingCounters;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A tracker whose guest writes are marked by those who make them. Each slot has a live bitmap,
 * which markers look at directly, whatever stands in front of the tracker.
 */
public abstract sealed class SoftwareTracker implements Tracker
    permits BitmapTracker, RingTracker, StoppedTracker {
  private final Map<Integer, ArmableBitmap> prepared = new ConcurrentHashMap<>();

  SoftwareTracker() {}

  @Override
  public final SlotTracker newSlot(TrackedSlot slot) {
    LivePart<?> part = newPart(slot);
    prepared.put(slot.entryId(), part.live); // for takeLive
    return part;
  }

  /** {@return what the tracker has of a slot} */
  abstract LivePart<?> newPart(TrackedSlot slot);

  /** {@return the live bitmap of a slot that was prepared; once per slot} */
  public final ArmableBitmap takeLive(Slot slot) {
    return Objects.requireNonNull(prepared.remove(slot.entryId()), "live");
  }

  /** {@return where writers without a vCPU mark pages of a slot} */
  public HostMarks hostMarks(Slot slot, ArmableBitmap live) {
    return new LazyHostMarks(slot.pageCount());
  }

  /** {@return how a new vCPU marks; under the collector lock} */
  public abstract VcpuMarks newMarks();

  /** A vCPU leaves; under the collector lock. */
  public void drop(VcpuMarks marks) {}

  /** {@return what the rings have counted; under the collector lock} */
  public RingCounters ringCounters() {
    return RingCounters.NONE;
  }
}
