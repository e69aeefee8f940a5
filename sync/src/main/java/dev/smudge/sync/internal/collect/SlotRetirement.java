package dev.smudge.sync.internal.collect;

import java.util.ArrayList;
import java.util.List;

/**
 * What follows a change that has removed slots: the grace period, then the last fetch of what was
 * marked in them until its end. Where an error cuts that short, the next change or a task of RCU
 * makes up for it; until then every fetch looks into these slots.
 */
final class SlotRetirement {
  private final Collector collector;
  private List<LeavingSlot> leaving; // the change's; none any more when it is done
  private volatile boolean done;
  private volatile boolean unqueued; // it is to be made by a task, and there may be none

  SlotRetirement(Collector collector, List<LeavingSlot> leaving) {
    this.collector = collector;
    this.leaving = leaving;
  }

  /** Whether nobody can use the slots any more. */
  boolean isDone() {
    return done;
  }

  /**
   * Waits for the grace period, then retires the slots. If that takes too long, they are retired
   * later, by a task of RCU.
   */
  void run() {
    boolean ran = false;
    try {
      List<SlotRetirement> waiting = new ArrayList<>(); // others too, which were cut short
      collector.lock().run(() -> waiting.addAll(collector.slots().unretired()));
      collector.vcpus().rcu().synchronize();
      for (SlotRetirement other : waiting) {
        if (!other.equals(this)) { // what it throws must not keep this one from its end
          collector.attempt(() -> collector.lock().run(other::retire));
        }
      }
      collector.lock().run(this::retire);
      ran = true;
    } finally {
      if (!ran) {
        unqueued = true; // calls nothing
        queue();
      }
    }
    collector.releaseUnused();
  }

  private void queue() {
    collector.vcpus().rcu().callRcu(this::afterGrace);
    unqueued = false;
  }

  private void afterGrace() {
    boolean ran = false;
    try {
      collector.lock().run(this::retire);
      ran = true;
    } finally {
      if (!ran) {
        unqueued = true;
        queue();
      }
    }
    collector.releaseUnused();
  }

  /** Sees that there is a task for it, if an error has kept it from that. Under the lock. */
  void settle() {
    if (unqueued) {
      queue();
    }
  }

  private void retire() {
    if (done) {
      return;
    }
    // First, so that what comes later is refused (T2).
    leaving.forEach(slot -> slot.slot().retire());
    if (collector.clients().isAny()) {
      collector.reap();
    } else { // the last one has ended meanwhile, and what is in the rings stays there
      leaving.forEach(LeavingSlot::tellAll);
    }
    for (LeavingSlot slot : leaving) {
      collector.fetch(slot.slot());
      collector.devices().retire(slot.slot());
    }
    for (LeavingSlot slot : leaving) {
      if (collector.slots().left(slot)) {
        collector.attempt(slot.slot().fetched().part()::close);
      }
    }
    collector.slots().retired(this);
    done = true;
    leaving = List.of(); // tasks of RCU may keep this for long
  }
}
