package dev.smudge.examples;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;

/**
 * A backend that forgets every other word of 64 pages in what it finds, from the second on. So what
 * the guest writes there is lost.
 */
final class ForgottenWord extends ForwardingTracker {
  ForgottenWord(Tracker backend) {
    super(backend);
  }

  @Override
  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
    to.collect((word, bits) -> {
      if (word % 2 == 0) {
        sink.accept(word, bits);
      }
    });
  }
}
