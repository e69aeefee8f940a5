package dev.smudge.examples;

import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.Tracker;

/** A backend that leaves the after-sync barrier out, and so loses writes. */
final class NoBarrier extends ForwardingTracker {
  NoBarrier(Tracker backend) {
    super(backend);
  }

  @Override
  public void afterSync() {}
}
