package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MapListener;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A {@link MemoryListener} in a memory: in its map, and, as a device, in its dirty log. */
final class ListenerLink implements MapListener, Registration {
  private static final Comparator<MappedSlot> BY_ADDRESS =
      (a, b) -> Long.compareUnsigned(a.base, b.base);

  private final AddressSpace space;
  private final MemoryListener listener;
  private final int priority;
  private final Registration device;

  /**
   * What it was told of. By whoever holds the lock, in a section; after the grace period by detach.
   */
  private final Set<MappedSlot> told = new HashSet<>();

  ListenerLink(AddressSpace space, int priority, MemoryListener listener) {
    this.space = space;
    this.priority = priority;
    this.listener = listener;
    this.device = space.log().addTracker(priority, new Device(listener.tracker()));
  }

  @Override
  public boolean isClosed() {
    return device.isClosed();
  }

  @Override
  public void close() {
    device.close();
    space.listeners().unlink(this);
  }

  @Override
  public int priority() {
    return priority;
  }

  private void call(Consumer<MemoryListener> what) {
    if (!device.isClosed()) { // M1
      attempt(what);
    }
  }

  private void attempt(Consumer<MemoryListener> what) {
    try {
      what.accept(listener);
    } catch (Throwable e) {
      space.embedded().report(e);
    }
  }

  @Override
  public void begin() {
    call(MemoryListener::begin);
  }

  @Override
  public void add(MappedSlot slot) {
    call(l -> {
      told.add(slot); // first: it may throw, or unregister itself
      l.regionAdd(GuestSlot.of(slot));
    });
  }

  @Override
  public void remove(MappedSlot slot) {
    call(l -> {
      told.remove(slot);
      l.regionDel(GuestSlot.of(slot));
    });
  }

  @Override
  public void unchanged(MappedSlot slot) {
    call(l -> l.regionUnchanged(GuestSlot.of(slot)));
  }

  @Override
  public void commit() {
    call(MemoryListener::commit);
  }

  private void replayRemoval() {
    space.listeners().unlink(this); // it was the log that was closed, perhaps
    MappedSlot[] slots = told.toArray(MappedSlot[]::new);
    Arrays.sort(slots, BY_ADDRESS.reversed());
    attempt(MemoryListener::begin);
    for (MappedSlot slot : slots) {
      attempt(l -> l.regionDel(GuestSlot.of(slot)));
    }
    told.clear();
    attempt(MemoryListener::commit);
  }

  /** The listener's own dirty log, if it keeps one; it leaves the log with the listener. */
  private final class Device implements Tracker {
    private final @Nullable Tracker own;

    Device(@Nullable Tracker own) {
      this.own = own;
    }

    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return own == null ? new SlotTracker() {} : own.newSlot(slot);
    }

    @Override
    public void startLog() {
      if (own != null) {
        own.startLog();
      }
    }

    @Override
    public void stopLog() {
      if (own != null) {
        own.stopLog();
      }
    }

    @Override
    public void afterSync() {
      if (own != null) {
        own.afterSync();
      }
    }

    @Override
    public void detach() {
      replayRemoval();
      if (own != null) {
        own.detach();
      }
    }

    @Override
    public void close() {
      if (own != null) {
        own.close();
      }
      listener.close();
    }

    @Override
    public String toString() {
      return listener.toString();
    }
  }

  @Override
  public String toString() {
    return "Registration[" + listener + (isClosed() ? ", closed]" : "]");
  }
}
