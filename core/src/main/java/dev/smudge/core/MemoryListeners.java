package dev.smudge.core;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.VcpuLock;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * The listeners of a memory, by ascending priority, and the lock under which its map is changed and
 * listeners are registered. A walk is a read-side section over an immutable array.
 */
@SuppressWarnings("ReferenceEquality") // registrations are compared by identity
final class MemoryListeners {
  private final DirtyLog log;
  private final VcpuLock lock;
  private final AtomicReference<ListenerRegistration[]> listeners =
      new AtomicReference<>(new ListenerRegistration[0]);

  MemoryListeners(DirtyLog log) {
    this.log = log;
    this.lock = log.newLock("a change of the memory map or of its listeners");
  }

  /**
   * Before a change of the map is planned; {@link #endChange} after {@link #changed}, and before
   * the grace period. A vCPU waits offline.
   */
  void beginChange() {
    lock.lock();
  }

  /** Whether this thread is in a change. */
  boolean isChanging() {
    return lock.isMine();
  }

  /** If this thread is in a change, it ends. */
  void endChange() {
    if (lock.isMine()) {
      lock.unlock();
    }
  }

  /** Between {@link #beginChange} and {@link #endChange}. */
  ListenerRegistration add(int priority, MemoryListener listener, List<GuestSlot> slots) {
    ListenerRegistration mine = new ListenerRegistration(this, log, priority, listener);
    log.rcu().enter();
    try {
      mine.replay(slots);
    } finally {
      log.rcu().exit();
    }
    // ORDER M3 volatile: the registration, and what it was told, before the array. Pairs with the
    // read in changed. If weaker: a walk calls a listener that is half made.
    listeners.updateAndGet(before -> with(before, mine));
    return mine;
  }

  private static ListenerRegistration[] with(
      ListenerRegistration[] before, ListenerRegistration mine) {
    int at = before.length;
    while (at > 0 && before[at - 1].priority > mine.priority) {
      at--;
    }
    ListenerRegistration[] more = Arrays.copyOf(before, before.length + 1);
    System.arraycopy(before, at, more, at + 1, before.length - at);
    more[at] = mine;
    return more;
  }

  /** Never waits. */
  void unlink(ListenerRegistration gone) {
    listeners.updateAndGet( // M3
        before ->
            Arrays.stream(before).filter(l -> l != gone).toArray(ListenerRegistration[]::new));
  }

  /** Tells of a change, after the swap, between {@link #beginChange} and {@link #endChange}. */
  void changed(GuestSlot[] before, GuestSlot[] after) {
    log.rcu().enter();
    try {
      ListenerRegistration[] all = Objects.requireNonNull(listeners.get()); // M3
      if (all.length > 0) {
        walk(all, before, after);
      }
    } finally {
      log.rcu().exit();
    }
  }

  private static void walk(ListenerRegistration[] all, GuestSlot[] before, GuestSlot[] after) {
    Set<GuestSlot> old = new HashSet<>(Arrays.asList(before)); // by identity
    Set<GuestSlot> now = new HashSet<>(Arrays.asList(after));
    forEach(all, l -> l.call(MemoryListener::begin));
    for (int i = before.length - 1; i >= 0; i--) {
      for (int j = all.length - 1; j >= 0 && !now.contains(before[i]); j--) {
        all[j].regionDel(before[i]);
      }
    }
    for (GuestSlot slot : after) {
      if (old.contains(slot)) {
        forEach(all, l -> l.call(listener -> listener.regionUnchanged(slot)));
      } else {
        forEach(all, l -> l.regionAdd(slot));
      }
    }
    forEach(all, l -> l.call(MemoryListener::commit));
  }

  private static void forEach(ListenerRegistration[] all, Consumer<ListenerRegistration> action) {
    for (ListenerRegistration listener : all) {
      action.accept(listener);
    }
  }
}
