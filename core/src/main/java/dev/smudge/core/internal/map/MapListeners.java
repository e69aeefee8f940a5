package dev.smudge.core.internal.map;

import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.rcu.RcuReader;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * Who follows the memory map, by ascending priority. A walk is a read-side section over an
 * immutable array.
 */
@SuppressWarnings({
  "ReferenceEquality", // listeners are compared by identity
  "Finally" // what is thrown there has the same cause: the stack has ended
})
public final class MapListeners {
  private final Rcu rcu;
  private final AtomicReference<MapListener[]> listeners =
      new AtomicReference<>(new MapListener[0]);

  MapListeners(Rcu rcu) {
    this.rcu = rcu;
  }

  /** Replays the map to a listener, and adds it; while the map does not change. */
  public void add(MapListener mine, MappedSlot[] slots) {
    RcuReader section = rcu.reader();
    section.enter();
    try {
      mine.begin();
      for (MappedSlot slot : slots) {
        mine.add(slot);
      }
      mine.commit();
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
    // ORDER M3 volatile: the listener, and what it was told, before the array. Pairs with the read
    // in changed. If weaker: a walk calls a listener that is half made.
    listeners.updateAndGet(before -> with(before, mine));
  }

  private static MapListener[] with(MapListener[] before, MapListener mine) {
    int at = before.length;
    while (at > 0 && before[at - 1].priority() > mine.priority()) {
      at--;
    }
    MapListener[] more = Arrays.copyOf(before, before.length + 1);
    System.arraycopy(before, at, more, at + 1, before.length - at);
    more[at] = mine;
    return more;
  }

  /** Never waits. */
  public void unlink(MapListener gone) {
    listeners.updateAndGet( // M3
        before -> Arrays.stream(before).filter(l -> l != gone).toArray(MapListener[]::new));
  }

  /** Tells of a change, after the swap, before the next change begins. */
  public void changed(MappedSlot[] before, MappedSlot[] after) {
    RcuReader section = rcu.reader();
    section.enter();
    try {
      MapListener[] all = Objects.requireNonNull(listeners.get()); // M3
      if (all.length > 0) {
        walk(all, before, after);
      }
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }

  private static void walk(MapListener[] all, MappedSlot[] before, MappedSlot[] after) {
    Set<MappedSlot> old = new HashSet<>(Arrays.asList(before)); // by identity
    Set<MappedSlot> now = new HashSet<>(Arrays.asList(after));
    forEach(all, MapListener::begin);
    for (int i = before.length - 1; i >= 0; i--) {
      for (int j = all.length - 1; j >= 0 && !now.contains(before[i]); j--) {
        all[j].remove(before[i]);
      }
    }
    for (MappedSlot slot : after) {
      if (old.contains(slot)) {
        forEach(all, l -> l.unchanged(slot));
      } else {
        forEach(all, l -> l.add(slot));
      }
    }
    forEach(all, MapListener::commit);
  }

  private static void forEach(MapListener[] all, Consumer<MapListener> action) {
    for (MapListener listener : all) {
      action.accept(listener);
    }
  }
}
