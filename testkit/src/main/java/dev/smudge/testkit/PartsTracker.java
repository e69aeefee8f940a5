package dev.smudge.testkit;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/** Gives a test the parts of slots, for calls behind the log's back. */
final class PartsTracker extends ForwardingTracker {
  private final Map<Object, SlotTracker> parts = new HashMap<>(); // by guest slot

  PartsTracker(Tracker tracker) {
    super(tracker);
  }

  @Override
  public SlotTracker newSlot(TrackedSlot slot) {
    SlotTracker part = super.newSlot(slot);
    parts.put(Objects.requireNonNull(slot.attachment()), part);
    return part;
  }

  SlotTracker part(GuestSlot slot) {
    return Objects.requireNonNull(parts.get(slot));
  }
}
