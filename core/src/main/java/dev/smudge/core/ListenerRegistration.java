package dev.smudge.core;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtySource;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.SourceRegistration;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** A {@link MemoryListener} that was registered by {@link GuestMemory#addListener}. */
public final class ListenerRegistration implements AutoCloseable {
  static final Comparator<GuestSlot> BY_ADDRESS =
      (a, b) -> Long.compareUnsigned(a.guestAddress, b.guestAddress);

  private final MemoryListeners listeners;
  private final DirtyLog log;
  private final MemoryListener listener;
  private final SourceRegistration source;
  final int priority;

  /** What it was told of. By who holds the lock, in a section; after the grace period by detach. */
  private final Set<GuestSlot> told = new HashSet<>();

  ListenerRegistration(
      MemoryListeners listeners, DirtyLog log, int priority, MemoryListener listener) {
    this.listeners = listeners;
    this.log = log;
    this.priority = priority;
    this.listener = listener;
    this.source = log.addSource(priority, new Source());
  }

  /**
   * Unregisters the listener. Never waits; legal from any thread, also in a read-side section, in a
   * method of the listener itself, and while another thread is in one. A walk that begins after
   * return does not call it. When its last call has ended, a task of {@link
   * dev.smudge.sync.Rcu#callRcu} replays the removal of every slot that it was told of (begin,
   * regionDel with the highest address first, commit), takes what its log has still to tell, stops
   * that (logSync, logStop, logGlobalStop) and calls {@link MemoryListener#close}, once. The RAM of
   * a slot that is removed meanwhile is kept until then. Without a running reclaimer that happens
   * in {@code rcu().barrier()}, or when the memory is closed. A second call does nothing.
   */
  @Override
  public void close() {
    source.close();
    listeners.unlink(this);
  }

  void call(Consumer<MemoryListener> what) {
    if (!source.isClosed()) { // M1
      attempt(what);
    }
  }

  private void attempt(Consumer<MemoryListener> what) {
    try {
      what.accept(listener);
    } catch (Throwable e) {
      log.report(e);
    }
  }

  void regionAdd(GuestSlot slot) {
    call(l -> {
      told.add(slot); // first: it may throw, or unregister itself
      l.regionAdd(slot);
    });
  }

  void regionDel(GuestSlot slot) {
    call(l -> {
      told.remove(slot);
      l.regionDel(slot);
    });
  }

  void replay(List<GuestSlot> slots) {
    call(MemoryListener::begin);
    slots.forEach(this::regionAdd);
    call(MemoryListener::commit);
  }

  private void replayRemoval() {
    listeners.unlink(this); // it was the log that was closed, perhaps
    GuestSlot[] slots = told.toArray(GuestSlot[]::new);
    Arrays.sort(slots, BY_ADDRESS.reversed());
    attempt(MemoryListener::begin);
    for (GuestSlot slot : slots) {
      attempt(l -> l.regionDel(slot));
    }
    told.clear();
    attempt(MemoryListener::commit);
  }

  /** The listener as a dirty source. */
  private final class Source implements DirtySource {
    @Override
    public void startLog() {
      listener.logGlobalStart();
    }

    @Override
    public void stopLog() {
      listener.logGlobalStop();
    }

    @Override
    public void logStart(LogSlot slot) {
      listener.logStart(GuestSlot.of(slot));
    }

    @Override
    public void logStop(LogSlot slot) {
      listener.logStop(GuestSlot.of(slot));
    }

    @Override
    public void logSync(LogSlot slot, PageWordConsumer sink) {
      listener.logSync(GuestSlot.of(slot), sink);
    }

    @Override
    public void logClear(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
      listener.logClear(GuestSlot.of(slot), firstPage, pageCount, bitmap);
    }

    @Override
    public void afterSync() {
      listener.afterSync();
    }

    @Override
    public void detach() {
      replayRemoval();
    }

    @Override
    public void close() {
      listener.close();
    }

    @Override
    public String toString() {
      return listener.toString();
    }
  }

  @Override
  public String toString() {
    return "ListenerRegistration[" + listener + (source.isClosed() ? ", closed]" : "]");
  }
}
