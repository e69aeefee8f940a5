package dev.smudge.testkit;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The storm over software trackers. {@code -Dsmudge.stormSeconds} sets how long each rages. */
@Timeout(3600)
class StormTest {
  private static final int VCPUS = 3;

  @Test
  void bitmaps_nothingIsLost() {
    Storm.assertNothingIsLost("bitmaps", SoftwareMachine::withBitmaps, VCPUS);
  }

  @Test
  void rings_nothingIsLost() {
    Storm.assertNothingIsLost("rings", SoftwareMachine::withRing, VCPUS);
  }

  @Test
  void ringsThatOverflow_nothingIsLost() {
    Storm.assertNothingIsLost("rings that overflow", SoftwareMachine::withTinyRing, VCPUS);
  }

  /** Leaves out one page, now and then. */
  private static final class Loses extends ForwardingTracker {
    private int words;

    Loses(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      super.collect(
          slot,
          to,
          (index, word) -> sink.accept(index, ++words % 100 == 0 ? word & word - 1 : word));
    }
  }

  @Test
  void aTrackerThatLosesAPage_isFound() {
    try (Storm storm = new Storm(SoftwareMachine::withBitmaps, Loses::new, new Random(), VCPUS)) {
      assertTrue(storm.run(TimeUnit.MINUTES.toNanos(10)) >= 0, () -> "not found: " + storm);
    }
  }
}
