package dev.smudge.sync.internal.collect;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The client in whose name pages are cleared so that they can be watched. It is there while there
 * are watches, takes nothing, and sees every page as dirty but those that were watched last.
 */
final class WatchClient {
  private final Collector collector;

  // Under this, inside of which the collector lock may be taken, not the other way round.
  private @Nullable ClientView view;
  private int watches;

  WatchClient(Collector collector) {
    this.collector = collector;
  }

  /** There is one watch more. */
  synchronized void open() {
    if (view == null) {
      ClientView started = new ClientView("write watches");
      collector.clients().start(started, true);
      view = started;
    }
    watches++;
  }

  /** There is one watch less; if this throws, there is not. */
  synchronized void close() {
    ClientView last = view;
    if (watches == 1 && last != null) {
      collector.clients().end(last);
      view = null;
    }
    watches--;
  }

  synchronized ClientView view() {
    return Objects.requireNonNull(view, "no watch is open");
  }
}
