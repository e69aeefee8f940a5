package dev.smudge.sync.internal.collect;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The client in whose name pages are cleared so that they can be watched. It is there while there
 * are watches, takes nothing, and sees every page as dirty but those that were watched last.
 */
@SuppressWarnings("ReferenceEquality") // watches are compared by identity
final class WatchClient {
  private final Collector collector;

  // Under the collector lock.
  private @Nullable ClientView view; // null: no watch is open
  private SlotWatch[] watches = new SlotWatch[0];

  /** The close of a watch was cut short, perhaps. Cleared, under the lock, when that is settled. */
  volatile boolean closeCutShort;

  WatchClient(Collector collector) {
    this.collector = collector;
  }

  /** There is one watch more. */
  void open(SlotWatch watch) {
    collector.locked(() -> {
      SlotWatch[] more = Arrays.copyOf(watches, watches.length + 1);
      more[watches.length] = watch;
      if (view == null) {
        ClientView started = ClientView.ofWatches();
        collector.clients().startLocked(started);
        view = started;
      }
      watches = more;
    });
  }

  /** There is one watch less. A second call does nothing, or what an error has left undone. */
  void close(SlotWatch watch) {
    collector.lock().run(() -> remove(watch));
    collector.releaseUnused();
  }

  private void remove(SlotWatch watch) {
    SlotWatch[] fewer =
        Arrays.stream(watches).filter(other -> other != watch).toArray(SlotWatch[]::new);
    ClientView last = view;
    if (fewer.length == 0 && last != null) {
      last.abandon();
      collector.clients().endLocked(last);
      view = null;
    }
    watches = fewer; // last: if that is cut short, another call makes it
  }

  /** Finishes what an error has left undone. Under the lock. */
  void settle() {
    if (closeCutShort) {
      for (SlotWatch watch : watches) {
        if (watch.isClosed()) {
          watch.detach();
          remove(watch);
        }
      }
      closeCutShort = false;
    }
  }

  /** The client, of a watch that is open. */
  ClientView view() {
    return collector.locked(() -> {
      ClientView now = view;
      if (now == null) {
        throw new IllegalStateException("no watch is open any more");
      }
      return now;
    });
  }
}
