package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The clients of a log: how they start and end, and with the first and the last of them the
 * logging. While there is no client, no page is armed, and tracking costs nothing. Under the
 * collector lock.
 */
@SuppressWarnings("ReferenceEquality") // clients are compared by identity
public final class Clients {
  private final Collector collector;
  private ClientView[] all = new ClientView[0];

  Clients(Collector collector) {
    this.collector = collector;
  }

  boolean isAny() {
    return all.length > 0;
  }

  ClientView[] all() {
    return all;
  }

  /**
   * Starts a client.
   *
   * @param allDirty whether it sees every page as dirty; else none, and it ends with a barrier
   */
  public void start(ClientView client, boolean allDirty) {
    ReentrantLock lock = collector.lock();
    lock.lock();
    try {
      collector.checkOpen();
      if (all.length == 0) {
        collector.devices().startLog();
      }
      try {
        startLocked(client, allDirty);
      } finally {
        if (all.length == 0) { // it threw
          collector.devices().stopLog();
        }
      }
    } finally {
      lock.unlock();
    }
    if (!allDirty) {
      try {
        if (!collector.afterSync()) {
          knowNothing(client);
        }
      } catch (RuntimeException | Error e) {
        end(client);
        throw e;
      }
    }
  }

  private void startLocked(ClientView client, boolean allDirty) {
    Slot[] slots = collector.slots().used();
    ClientView[] more = Arrays.copyOf(all, all.length + 1);
    more[all.length] = client;
    for (Slot slot : slots) {
      client.add(slot);
    }
    if (all.length == 0) {
      for (Slot slot : slots) {
        slot.fetched().part().start();
        slot.fetched().countAllAsTold();
      }
    }
    if (allDirty) {
      client.addAll();
    } else {
      collector.fetch(); // the others keep what is theirs
      for (Slot slot : slots) {
        collector.clear(slot, slot.fetched().told());
      }
    }
    set(more);
    collector.vcpus().pressure().setCollecting(true);
    if (!allDirty) {
      for (Slot slot : slots) {
        collector.devices().clear(slot);
      }
    }
  }

  private void knowNothing(ClientView client) {
    ReentrantLock lock = collector.lock();
    lock.lock();
    try {
      client.addAll();
    } finally {
      lock.unlock();
    }
  }

  private void set(ClientView[] now) {
    all = now;
    for (Slot slot : collector.slots().used()) {
      setViews(slot);
    }
  }

  /** Has every client told of the pages of a slot, which each of them knows. */
  void setViews(Slot slot) {
    slot.views().set(Arrays.stream(all).map(client -> client.of(slot)).toArray(PageSet[]::new));
  }

  /** Ends a client. A second call does nothing. */
  public void end(ClientView client) {
    ReentrantLock lock = collector.lock();
    lock.lock();
    try {
      if (client.isClosed()) {
        return;
      }
      collector.devices().checkNotCalling();
      set(Arrays.stream(all).filter(c -> c != client).toArray(ClientView[]::new));
      client.close();
      if (all.length == 0) {
        stopLog();
      }
    } finally {
      lock.unlock();
    }
  }

  private void stopLog() {
    collector.vcpus().pressure().setCollecting(false);
    collector.devices().stopLog();
    for (Slot slot : collector.slots().used()) {
      slot.fetched().part().stop();
      slot.fetched().countAllAsTold();
    }
  }

  void endAll() {
    ClientView[] open;
    ReentrantLock lock = collector.lock();
    lock.lock();
    try {
      open = all;
    } finally {
      lock.unlock();
    }
    for (ClientView client : open) {
      end(client);
    }
  }
}
