package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.Tracker;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The trackers of devices that were added to a log, by ascending priority. A walk is a read-side
 * section over an immutable array; one that is closed stays in it until it has left, and is not
 * called. Under the collector lock, but for {@link #close} and {@link #afterSync}.
 */
@SuppressWarnings("ReferenceEquality") // registrations are compared by identity
public final class DeviceLogs {
  private final Collector collector;
  private volatile DeviceLog[] devices = new DeviceLog[0];

  /** Whether a device was closed for which no task is queued yet. Cleared under the lock. */
  private volatile boolean anyUnqueued;

  private int calling; // under the lock: calls of devices that the lock's holder is in

  DeviceLogs(Collector collector) {
    this.collector = collector;
  }

  /** Under the lock: refuses calls of the log by a device that was called under it. */
  void checkNotCalling() {
    if (calling > 0) {
      throw new IllegalStateException(
          "a device's tracker called the log from inside a call under the collector lock: "
              + "let another thread do it, after that call");
    }
  }

  void checkCalling() {
    if (!collector.isLockedByMe() || calling == 0) {
      throw new IllegalStateException(
          "the sink of a device's collect was used after the call: " + this);
    }
  }

  /** Calls a device under the lock; returns whether it threw nothing. */
  boolean attempt(Runnable call) {
    try {
      call(call);
      return true;
    } catch (Throwable e) {
      collector.lock().keepInMind(e);
      report(e);
      return false;
    }
  }

  /** Calls a device under the lock. */
  private void call(Runnable call) {
    Rcu rcu = collector.vcpus().rcu();
    StackRoom.check();
    rcu.enter();
    try {
      calling++; // in the block whose end takes it back, and with no call between
      try {
        call.run();
      } finally {
        calling--;
      }
    } finally {
      rcu.exit();
    }
  }

  private void report(Throwable error) {
    collector.vcpus().errorHandler().accept(error);
  }

  /** Adds a device; if its log cannot be started, it is not there. Takes the lock. */
  public Registration add(int priority, Tracker tracker) {
    return collector.locked(
        new Supplier<>() { // no lambda: one over an int may stay unlinked for ever (design.md 3.8)
          @Override
          public Registration get() {
            return addLocked(priority, tracker);
          }
        });
  }

  @SuppressWarnings("ReferenceEquality") // trackers are compared by identity
  private Registration addLocked(int priority, Tracker tracker) {
    for (DeviceLog device : devices) {
      if (device.tracker() == tracker && !UsedTrackers.isWithoutState(tracker)) {
        throw new IllegalArgumentException(
            tracker
                + " is the tracker of a device of this log already"
                + (device.isClosed() ? ", which is closed and has not left yet" : "")
                + ", and what one registration clears the other would miss: make a tracker for each"
                + " device");
      }
    }
    DeviceLog mine = new DeviceLog(this, priority, tracker);
    int at = devices.length;
    while (at > 0 && devices[at - 1].priority() > priority) {
      at--;
    }
    DeviceLog[] more = Arrays.copyOf(devices, devices.length + 1);
    System.arraycopy(devices, at, more, at + 1, devices.length - at);
    more[at] = mine;
    boolean started = false;
    try {
      if (collector.clients().isAny()) {
        call(mine::startLog);
        for (Slot slot : collector.slots().used()) {
          mine.logStart(slot);
        }
      }
      started = true;
    } finally {
      if (!started) {
        mine.stopLog();
      }
    }
    // ORDER M2 volatile: the registration before the array. Pairs with the read in afterSync. If
    // weaker: a device is called whose registration is not there yet.
    devices = more;
    return mine;
  }

  /** The first client is about to start. */
  void startLog() {
    int at = 0;
    boolean done = false;
    try {
      for (; at < devices.length; at++) {
        if (!devices[at].isClosed()) { // M1
          DeviceLog device = devices[at];
          call(device::startLog);
        }
      }
      done = true;
    } finally {
      for (at--; !done && at >= 0; at--) {
        devices[at].stopLog();
      }
    }
    for (Slot slot : collector.slots().used()) {
      logStart(slot);
    }
    for (LeavingSlot leaving : collector.slots().leaving()) {
      forEach(device -> device.unlogged(leaving.slot()));
    }
  }

  /** The last client has ended. */
  void stopLog() {
    for (int at = devices.length - 1; at >= 0; at--) {
      devices[at].stopLog();
    }
  }

  void logStart(Slot slot) {
    forEach(device -> device.logStart(slot));
  }

  void undoStart(Slot slot) {
    forEach(device -> device.undoStart(slot));
  }

  void collect(Slot slot) {
    for (DeviceLog device : devices) { // no lambda: on the way of every take
      device.collect(slot);
    }
  }

  /**
   * Clears {@code pages} in each device that has told of them. When they are out of the view of the
   * client that takes them: what could not be cleared is dirty for it again.
   */
  void clear(Slot slot, PageSet pages) {
    for (DeviceLog device : devices) {
      device.clear(slot, pages);
    }
  }

  /** As {@link #clear(Slot, PageSet)}, of all pages. */
  void clear(Slot slot) {
    forEach(device -> device.clear(slot));
  }

  void retire(Slot slot) {
    forEach(device -> device.retire(slot));
  }

  private void forEach(Consumer<DeviceLog> action) {
    for (DeviceLog device : devices) {
      action.accept(device);
    }
  }

  /** Without the lock. Returns whether every device has done it. */
  boolean afterSync() {
    DeviceLog[] all = devices; // M2; volatile, as M1 is
    Rcu rcu = collector.vcpus().rcu();
    boolean done = true;
    for (DeviceLog device : all) {
      StackRoom.check();
      rcu.enter();
      try {
        if (!device.isClosed()) { // M1
          device.tracker().afterSync();
        }
      } catch (Throwable e) {
        done = false;
        report(e);
      } finally {
        rcu.exit();
      }
    }
    return done;
  }

  /** Never waits. */
  void close(DeviceLog device) {
    StackRoom.check(); // so that whoever is closed is one that leaves
    if (device.markClosed()) {
      leaveLater(device);
    }
  }

  private void leaveLater(DeviceLog device) {
    device.leaveUnqueued = true; // first, and by stores: what follows may be cut short
    anyUnqueued = true;
    queueLeave(device);
  }

  private void queueLeave(DeviceLog device) {
    collector.vcpus().rcu().callRcu(() -> leave(device));
    device.leaveUnqueued = false;
  }

  /** Finishes what an error has left undone. Under the lock. */
  void settle() {
    if (!anyUnqueued) {
      return;
    }
    anyUnqueued = false; // before the look: a close may set it meanwhile
    boolean done = false;
    try {
      for (DeviceLog device : devices) {
        if (device.leaveUnqueued) {
          queueLeave(device); // twice, perhaps: it leaves once
        }
      }
      done = true;
    } finally {
      if (!done) {
        anyUnqueued = true;
      }
    }
  }

  /**
   * Whether a device has been leaving for less than a wait may take: it may write until it has
   * left, and only then tells of what it has written since it was closed.
   */
  boolean isAnyLeaving() {
    for (DeviceLog device : devices) {
      if (device.isClosedSince(collector.vcpus().timeoutNanos())) {
        return true;
      }
    }
    return false;
  }

  void closeAll() {
    DeviceLog[] all = devices;
    for (int at = all.length - 1; at >= 0; at--) {
      close(all[at]);
    }
  }

  /** After the grace period: no call is under way, and none begins. Without the lock. */
  private void leave(DeviceLog device) {
    boolean left = false;
    try {
      device.detach(this::reportThrown);
      collector
          .lock()
          .run(() -> {
            device.leave();
            devices =
                Arrays.stream(devices).filter(d -> d != device).toArray(DeviceLog[]::new); // M2
          });
      collector.releaseUnused();
      device.closeTracker(this::reportThrown);
      left = true;
    } finally {
      if (!left) {
        leaveLater(device); // nobody else has its last bits told
      }
    }
  }

  private void reportThrown(Runnable call) {
    try {
      call.run();
    } catch (Throwable e) {
      report(e);
    }
  }

  @Override
  public String toString() {
    return Arrays.toString(devices);
  }
}
