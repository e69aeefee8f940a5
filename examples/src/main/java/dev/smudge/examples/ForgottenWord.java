package dev.smudge.examples;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;

/**
 * A backend that forgets one word of 64 pages in everything that it finds: the first in which it
 * finds any. So what the guest writes there is lost.
 */
final class ForgottenWord extends ForwardingTracker {
  private int forgotten = -1; // under the collector lock, as all that collects

  ForgottenWord(Tracker backend) {
    super(backend);
  }

  @Override
  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
    to.collect((word, bits) -> {
      if (forgotten < 0) {
        forgotten = word;
      }
      if (word != forgotten) {
        sink.accept(word, bits);
      }
    });
  }
}
