package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.collect.Verification.Armed;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The clients of a log: how they start and end, and with the first and the last of them the
 * logging. While there is no client, no page is armed, and tracking costs nothing. Under the
 * collector lock.
 */
@SuppressWarnings("ReferenceEquality") // clients are compared by identity
public final class Clients {
  private final Collector collector;
  private ClientView[] all = new ClientView[0];
  private boolean logging; // trackers log, or have been told to

  Clients(Collector collector) {
    this.collector = collector;
  }

  boolean isAny() {
    return all.length > 0;
  }

  ClientView[] all() {
    return all;
  }

  /** Whether there is one that takes: another than that of the watches. */
  boolean isAnyToTake() {
    for (ClientView client : all) {
      if (client.takes()) {
        return true;
      }
    }
    return false;
  }

  /**
   * Starts a client.
   *
   * @param allDirty whether it sees every page as dirty; else none, and it ends with a barrier
   */
  public void start(ClientView client, boolean allDirty) {
    boolean done = false;
    @Nullable Armed[] armed = new Armed[1];
    try {
      collector.locked(
          new Runnable() { // no lambda over a boolean: it may stay unlinked (design.md 3.8)
            @Override
            public void run() {
              collector.verification().checkStart();
              startLocked(client, !allDirty, null);
              armed[0] = allDirty ? null : collector.verification().armed();
            }
          });
      if (!allDirty && !collector.afterSync()) {
        collector.lock().run(client::addAll);
      } else {
        collector.verification().barrierPassed(armed[0]);
      }
      done = true;
    } finally {
      if (!done) {
        client.abandon(); // should the end be cut short, the next call makes it
        end(client);
      }
    }
  }

  /** Starts a client that sees as dirty what another one does. Nothing is armed. */
  public void fork(ClientView from, ClientView client) {
    boolean done = false;
    try {
      collector.locked(() -> {
        collector.takes().check(from);
        startLocked(client, false, from);
      });
      done = true;
    } finally {
      if (!done) {
        client.abandon();
        end(client);
      }
    }
  }

  /** As {@link #start}, of one that sees every page as dirty. Under the lock. */
  void startLocked(ClientView client) {
    boolean done = false;
    try {
      collector.verification().checkStart();
      startLocked(client, false, null);
      done = true;
    } finally {
      if (!done) {
        client.abandon();
        endLocked(client);
      }
    }
  }

  /** Every page is dirty for it, or what is for another, or none: then all are cleared. */
  private void startLocked(ClientView client, boolean clear, @Nullable ClientView from) {
    Slot[] slots = collector.slots().used();
    ClientView[] more = Arrays.copyOf(all, all.length + 1);
    more[all.length] = client;
    boolean first = all.length == 0;
    if (first) {
      logging = true; // until stopLog, also if this is cut short
      collector.devices().startLog();
    }
    for (Slot slot : slots) {
      client.add(slot);
    }
    if (first) {
      for (Slot slot : slots) {
        slot.fetched().part().start();
        slot.fetched().countAllAsTold();
      }
    }
    if (from != null) {
      from.copyInto(slots, client::of);
    } else if (!clear) {
      client.addAll();
    } else {
      collector.fetch(true); // the others keep what is theirs
      for (Slot slot : slots) {
        collector.clear(slot, slot.fetched().told());
      }
    }
    // The views first: who is told too much is no client yet, and who is a client is told of all.
    for (Slot slot : slots) {
      setViews(slot, more);
    }
    all = more;
    if (client.takes()) {
      collector.vcpus().pressure().setCollecting(true);
    }
    if (clear) {
      for (Slot slot : slots) {
        collector.devices().clear(slot);
      }
    }
  }

  /** Has every client told of the pages of a slot, which each of them knows. */
  void setViews(Slot slot) {
    setViews(slot, all);
  }

  private static void setViews(Slot slot, ClientView[] clients) {
    PageSet[] views = new PageSet[clients.length];
    for (int i = 0; i < views.length; i++) {
      views[i] = clients[i].of(slot);
    }
    slot.views().set(views);
  }

  /** Ends a client. A second call does nothing, or what an error has left undone. */
  public void end(ClientView client) {
    boolean mayRelease =
        collector
            .lock()
            .get(() -> {
              if (!client.isClosed()) {
                collector.devices().checkNotCalling();
              }
              endLocked(client);
              return collector.slots().isAnyUnreleased();
            });
    if (mayRelease) {
      collector.releaseUnused();
    }
  }

  /** As {@link #end}, under the lock. */
  void endLocked(ClientView client) {
    if (client.isClosed()) {
      return;
    }
    all = Arrays.stream(all).filter(c -> c != client).toArray(ClientView[]::new);
    for (Slot slot : collector.slots().used()) {
      setViews(slot);
    }
    for (TakenPages batch = client.failed(); batch != null; batch = client.failed()) {
      batch.giveBack(false); // nobody has it
      client.forget(batch);
    }
    client.close();
    if (!isAnyToTake()) {
      collector.vcpus().pressure().setCollecting(false); // nobody makes room in a ring
    }
    stopLogOfNobody();
  }

  private void stopLogOfNobody() {
    if (all.length == 0 && logging) {
      stopLog();
      logging = false;
    }
  }

  /** Finishes what an error has left undone. Under the lock. */
  void settle() {
    for (ClientView client : all) {
      if (client.isAbandoned()) {
        endLocked(client);
      }
    }
    if (all.length == 0 && logging) {
      logging = false; // once more, and no more
      collector.attempt(this::stopLog);
    }
  }

  private void stopLog() {
    collector.devices().stopLog();
    collector.verification().stopLog();
    for (Slot slot : collector.slots().used()) {
      slot.fetched().part().stop();
      slot.fetched().countAllAsTold();
    }
  }

  void endAll() {
    ClientView[] open = collector.underLock(() -> all);
    for (ClientView client : open) {
      end(client);
    }
  }
}
