package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The tracker of a device in a log. What it throws is reported, and the pages concerned count as
 * written: a device that fails must not keep clients from their pages, nor pages from clients. It
 * knows slots only while there are clients.
 */
final class DeviceLog implements Registration {
  private final DeviceLogs devices;
  private final Tracker tracker;
  private final int priority;
  private final AtomicBoolean closed = new AtomicBoolean();
  private long closedNanos; // before closed (M1)

  /** It is closed, and there is no task yet in which it leaves. */
  volatile boolean leaveUnqueued;

  // Under the collector lock.
  private final Map<Slot, FetchedBits> logged = new LinkedHashMap<>();
  private final Set<Slot> unlogged = new HashSet<>(); // may be written and are not logged
  private final List<Held> held = new ArrayList<>();
  private boolean started;
  private boolean leaving;

  /** A slot that was removed, and is not free before the device has left. */
  private static final class Held {
    final Slot slot;
    boolean holds;

    Held(Slot slot) {
      this.slot = slot;
    }
  }

  // Of the task in which it leaves, which an error may have cut short.
  private boolean detached;
  private boolean trackerClosed;

  DeviceLog(DeviceLogs devices, int priority, Tracker tracker) {
    this.devices = devices;
    this.priority = priority;
    this.tracker = tracker;
  }

  Tracker tracker() {
    return tracker;
  }

  int priority() {
    return priority;
  }

  @Override
  public boolean isClosed() {
    return closed.get(); // M1
  }

  @Override
  public void close() {
    devices.close(this);
  }

  /** Returns whether it was open. */
  boolean markClosed() {
    if (!isClosed()) {
      closedNanos = System.nanoTime();
    }
    // ORDER M1 volatile: closed before the grace period begins. Pairs with the looks right before
    // each call, in a section. If weaker: a call begins after the grace period, and after close().
    return closed.compareAndSet(false, true);
  }

  /** Whether it was closed, and no longer ago than that. */
  boolean isClosedSince(long nanos) {
    return isClosed() && System.nanoTime() - closedNanos <= nanos;
  }

  void startLog() {
    tracker.startLog();
    started = true;
  }

  void logStart(Slot slot) {
    unlogged.add(slot); // until it is
    if (!isClosed() && started && devices.attempt(() -> begin(slot))) {
      unlogged.remove(slot);
    }
  }

  private void begin(Slot slot) {
    FetchedBits part = slot.newPart(tracker);
    logged.put(slot, part);
    part.part().start();
  }

  /** A client has started while others may write to a slot that is leaving. */
  void unlogged(Slot slot) {
    unlogged.add(slot);
  }

  /** The slot will not be there after all. */
  void undoStart(Slot slot) {
    unlogged.remove(slot);
    FetchedBits part = logged.remove(slot);
    if (part != null && !isClosed()) {
      end(part);
    }
  }

  private void end(FetchedBits part) {
    devices.attempt(() -> part.part().stop());
    devices.attempt(() -> part.part().close());
  }

  /** While it is open, and once more by the task in which it leaves. */
  private boolean isCalled() {
    return !isClosed() || leaving;
  }

  void stopLog() {
    if (!isCalled() || !started) {
      return; // stopped when it leaves
    }
    List.copyOf(logged.values()).forEach(this::end);
    logged.clear();
    unlogged.clear();
    started = false;
    devices.attempt(tracker::stopLog);
  }

  void collect(Slot slot) {
    if (!isCalled()) {
      return;
    }
    if (unlogged.contains(slot)) {
      slot.views().tellAll();
    }
    FetchedBits part = logged.get(slot);
    if (part != null) {
      boolean said = false;
      try {
        said = devices.attempt(() -> part.collect(slot.views(), this::guarded));
      } finally {
        if (!said) {
          // It has not said what was written, and this may be its last word: the slot may be
          // retired right after this, or the device leave.
          slot.views().tellAll();
        }
      }
      if (slot.views().leaving() != null) {
        // Takes arm its pages in the slot that has them now, and not here: what was told of may
        // have been written since, at any time until it is retired.
        part.tellAgain(slot.views());
      }
    }
  }

  /** A sink that refuses to be used after the call. */
  private PageWordConsumer guarded(PageWordConsumer sink) {
    return (wordIndex, bits) -> {
      devices.checkCalling();
      sink.accept(wordIndex, bits);
    };
  }

  void clear(Slot slot) {
    FetchedBits part = logged.get(slot);
    if (part != null) {
      clear(slot, part.told());
    }
  }

  void clear(Slot slot, PageSet pages) {
    FetchedBits part = logged.get(slot);
    if (isClosed() || part == null || part.isEmpty()) {
      return;
    }
    part.clear(pages).run((first, count, bitmap) -> clear(slot, part, first, count, bitmap));
  }

  private void clear(Slot slot, FetchedBits part, long firstPage, long pageCount, long[] bitmap) {
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    boolean done =
        !isClosed()
            && devices.attempt(
                new Runnable() { // no lambda over longs: it may stay unlinked (design.md 3.8)
                  @Override
                  public void run() {
                    part.part().clear(firstPage, pageCount, bitmap.clone());
                  }
                });
    for (int i = 0; i < words; i++) {
      if (bitmap[i] == 0) {
        continue;
      }
      if (done) {
        part.forget(firstWord + i, bitmap[i]);
      } else {
        // Not armed perhaps: it counts as told still, so it has to be in every view.
        slot.views().tell(firstWord + i, bitmap[i]);
      }
    }
  }

  /** The grace period of a slot that was removed is over. */
  void retire(Slot slot) {
    if (!isCalled()) {
      Held mine = new Held(slot);
      held.add(mine);
      slot.views().hold(); // it may write there until it leaves
      mine.holds = true; // not before: what it lets go is what it holds
      return;
    }
    collect(slot);
    FetchedBits part = logged.get(slot);
    if (part != null) {
      logged.remove(slot);
      end(part);
    }
    unlogged.remove(slot);
  }

  /** Once. */
  void detach(Consumer<Runnable> call) {
    if (!detached) {
      detached = true;
      call.accept(tracker::detach);
    }
  }

  /** Once, after all that has to go on until it has left. */
  void closeTracker(Consumer<Runnable> call) {
    if (!trackerClosed) {
      trackerClosed = true;
      call.accept(tracker::close);
    }
  }

  /** It writes no more: its last bits. What it held may be free now. */
  void leave() {
    leaving = true;
    Set<Slot> all = new HashSet<>(unlogged);
    all.addAll(logged.keySet());
    Map<Slot, @Nullable FetchedBits> parts = new HashMap<>(logged);
    for (Slot slot : all) {
      collect(slot);
      FetchedBits part = parts.get(slot);
      if (part != null) {
        part.tellAgain(slot.views());
      }
    }
    stopLog();
    for (; !held.isEmpty(); held.remove(held.size() - 1)) {
      Held last = held.get(held.size() - 1);
      if (last.holds) {
        last.slot.views().letGo();
        last.holds = false; // should the removal here be cut short
      }
    }
  }

  @Override
  public String toString() {
    return "Registration[" + tracker + (isClosed() ? ", closed]" : "]");
  }
}
