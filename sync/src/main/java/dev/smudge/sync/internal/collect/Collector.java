package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.vcpu.VcpuGroup;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The owner of the collector lock, and of what is done under it: fetch, take, give back, discard.
 *
 * <p><b>A take</b>, in the order of the methods below. Under the lock: every tracker tells what is
 * new, which goes into the view of every client ({@link #fetch}); the client's pages move from its
 * view into a batch ({@link #move}); those of them that {@link FetchedBits} has are cleared in the
 * tracker ({@link #clear}), so that the next write to them is found. Without the lock: the
 * after-sync barrier ({@link #afterSync}), after which no vCPU relies on a bit from before. Only
 * then is the batch handed out, and its pages are read.
 *
 * <p><b>No page is ever in no place.</b> A page that was found is in the tracker's bit until it is
 * in every view, in a view until it is in a batch, in a batch until it is acknowledged or back in
 * the view. Each step adds to the new place before it takes from the old one, and can be repeated.
 * So an error at any point leaves every page in at least one place, and the next call finishes what
 * was begun. Source: docs/design.md 3.4 and 3.8; QEMU accel/kvm/kvm-all.c.
 */
public final class Collector {
  private final ReentrantLock lock = new ReentrantLock();
  private final SlotTable slots = new SlotTable();
  private final Tracker tracker;
  private final VcpuGroup vcpus;
  private final DeviceLogs devices = new DeviceLogs(this);
  private final RingNews news = new RingNews(slots);
  private final Counters counters = new Counters();
  private final Clients clients = new Clients(this);
  private final boolean countsFetched;
  private final Consumer<Slot> whenPrepared;

  private boolean closed; // under the lock
  private boolean trackerClosed; // under the lock

  /**
   * Makes one without slots and clients. Pages are counted as they are fetched if {@code
   * countsFetched}, otherwise by those who mark them; {@code whenPrepared} is told of each new slot
   * that the tracker has prepared.
   */
  public Collector(
      Tracker tracker, VcpuGroup vcpus, boolean countsFetched, Consumer<Slot> whenPrepared) {
    this.tracker = tracker;
    this.vcpus = vcpus;
    this.countsFetched = countsFetched;
    this.whenPrepared = whenPrepared;
  }

  /**
   * Takes at most {@code limit} dirty pages for a client: of a range of one slot, or of all slots
   * where {@code only} is null. Fetches first if {@code sync}. The batch's pages may be read.
   */
  public TakenPages take(
      ClientView client,
      @Nullable Slot only,
      long firstPage,
      long pageCount,
      long limit,
      boolean sync) {
    TakenPages batch = new TakenPages(client);
    lock.lock();
    try {
      checkOpen();
      client.checkOpen();
      client.checkHasNoOpenBatch();
      if (only != null) {
        slots.checkCurrent(only);
        only.checkRange(firstPage, pageCount);
      }
      if (sync) {
        fetch();
      }
      client.open(batch);
      try {
        move(client, batch, only, firstPage, pageCount, limit);
        // Slot by slot after all was moved: an error leaves every page in view or batch.
        batch.forEachSlot(this::clear);
        batch.forEachSlot(devices::clear);
      } catch (RuntimeException | Error e) {
        giveBack(batch);
        throw e;
      }
    } finally {
      lock.unlock();
    }
    // Always, also when nothing was cleared: another client may have cleared these pages a moment
    // ago and be waiting for its own barrier (docs/design.md 3.4).
    long start = System.nanoTime();
    try {
      if (!afterSync()) {
        batch.forEachSlot((slot, pages) -> addBack(client, slot, pages));
      }
    } catch (RuntimeException | Error e) {
      giveBack(batch);
      throw e;
    }
    batch.barrierTook(System.nanoTime() - start);
    return batch;
  }

  /** Has every tracker tell what is new. Under the lock. */
  void fetch() {
    reap();
    for (Slot slot : slots.used()) {
      fetch(slot);
    }
    for (LeavingSlot leaving : slots.leaving()) {
      fetch(leaving.slot());
    }
  }

  /** Under the lock; there is a client. */
  int reap() {
    if (!tracker.hasRings()) {
      return 0;
    }
    boolean armed = true; // if it is cut short, perhaps
    try {
      int found = tracker.reapRings(news);
      armed = found > 0;
      if (countsFetched) {
        counters.addReaped(found);
      }
      return found;
    } finally {
      if (armed) {
        vcpus.handshake().pagesArmed();
        vcpus.pressure().wake();
      }
      news.tell();
    }
  }

  /** Under the lock. */
  void fetch(Slot slot) {
    long pages = slot.fetched().collect(slot.views());
    if (countsFetched) {
      counters.addFetched(pages);
    }
    slot.hostMarks().drain(slot.views()::tell);
    devices.collect(slot);
  }

  private void move(
      ClientView client,
      TakenPages batch,
      @Nullable Slot only,
      long firstPage,
      long pageCount,
      long limit) {
    if (only != null) {
      client.moveRange(batch, only, firstPage, pageCount, limit);
    } else if (limit == Long.MAX_VALUE) {
      for (Slot slot : slots.used()) {
        client.moveRange(batch, slot, 0, slot.pageCount(), limit);
      }
    } else {
      client.moveFromCursor(batch, slots.used(), limit);
    }
  }

  /**
   * Clears in the tracker those of {@code pages} that it has told of and that were not cleared
   * since. Under the lock. The caller gets its barrier afterwards in any case.
   */
  void clear(Slot slot, PageSet pages) {
    ClearRanges clear = slot.fetched().clear(pages);
    try {
      clear.run();
      // Only now: a page that is armed and counts as told is in every view, so nothing is lost if
      // the tracker throws half-way.
      slot.fetched().forget(pages);
    } finally {
      // Also after an exception: what was cleared until then is armed.
      if (clear.hasCleared()) {
        vcpus.handshake().pagesArmed();
      }
    }
  }

  /** The barrier, of the tracker and then of all devices; returns whether it was all of them. */
  public boolean afterSync() {
    tracker.afterSync();
    return devices.afterSync();
  }

  /** The batch is done: what it holds still is dirty again for its client. Can be repeated. */
  public void giveBack(TakenPages batch) {
    ClientView client = batch.client();
    List<LeavingSlot> left = new ArrayList<>();
    lock.lock();
    try {
      boolean givesBack = client.isOpen(batch); // not if the client was closed
      batch.forEachSlotOnce((slot, pages) -> {
        LeavingSlot leaving = slot.views().leaving();
        if (leaving != null) {
          left.add(leaving);
        }
        if (givesBack) {
          giveBack(client, slot, pages);
        }
        slot.views().letGo();
      });
      if (givesBack) {
        client.closeBatch();
      }
    } finally {
      lock.unlock();
      left.forEach(slot -> slot.release(this));
    }
  }

  private static void giveBack(ClientView client, Slot slot, PageSet pages) {
    LeavingSlot leaving = slot.views().leaving();
    if (leaving == null) {
      client.giveBack(slot, pages);
    } else {
      pages.forEachRun((first, count) -> leaving.carry(first, count, client));
    }
  }

  /**
   * Takes pages out of a client's view and clears them in the trackers: only a later write makes
   * them dirty again. The other clients keep what is theirs.
   */
  public void discard(ClientView client, Slot slot, long firstPage, long pageCount) {
    lock.lock();
    try {
      checkOpen();
      client.checkOpen();
      slots.checkCurrent(slot);
      slot.checkRange(firstPage, pageCount);
      PageSet gone = new PageSet(slot.pageCount());
      gone.addRange(firstPage, pageCount);
      fetch();
      clear(slot, gone); // first: a page out of the view and not armed would be lost
      client.of(slot).removeRange(firstPage, pageCount);
      devices.clear(slot, gone);
    } finally {
      lock.unlock();
    }
    try {
      if (!afterSync()) {
        addBack(client, slot, firstPage, pageCount);
      }
    } catch (RuntimeException | Error e) {
      addBack(client, slot, firstPage, pageCount);
      throw e;
    }
  }

  private void addBack(ClientView client, Slot slot, PageSet pages) {
    pages.forEachRun((first, count) -> addBack(client, slot, first, count));
  }

  private void addBack(ClientView client, Slot slot, long firstPage, long pageCount) {
    lock.lock();
    try {
      LeavingSlot leaving = slot.views().leaving();
      if (client.isClosed()) {
        return;
      }
      if (leaving == null) {
        client.of(slot).addRange(firstPage, pageCount);
      } else {
        leaving.carry(firstPage, pageCount, client);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Fetches for all clients; nothing without one, since then no page is armed, and none is to be.
   */
  public void sync() {
    lock.lock();
    try {
      checkOpen();
      if (clients.isAny()) {
        fetch();
      }
    } finally {
      lock.unlock();
    }
  }

  /** {@return how many pages are dirty for a client, as far as the last fetch knew} */
  public long dirtyPages(ClientView client) {
    return underLock(client::size);
  }

  // What others under the lock need.

  ReentrantLock lock() {
    return lock;
  }

  /** {@return whether the calling thread holds the lock} */
  public boolean isLockedByMe() {
    return lock.isHeldByCurrentThread();
  }

  /** Does something under the lock. */
  public <T> T underLock(Supplier<T> what) {
    lock.lock();
    try {
      return what.get();
    } finally {
      lock.unlock();
    }
  }

  /** Does something under the lock, while the log is open. */
  public <T> T locked(Supplier<T> what) {
    lock.lock();
    try {
      checkOpen();
      return what.get();
    } finally {
      lock.unlock();
    }
  }

  /** {@return the slots} */
  public SlotTable slots() {
    return slots;
  }

  /** {@return the devices with a dirty log of their own} */
  public DeviceLogs devices() {
    return devices;
  }

  /** {@return the tracker of the guest's writes} */
  public Tracker tracker() {
    return tracker;
  }

  /** {@return the log's own vCPUs} */
  public VcpuGroup vcpus() {
    return vcpus;
  }

  /** {@return what was counted; under the lock} */
  public Counters counters() {
    return counters;
  }

  /** {@return the clients} */
  public Clients clients() {
    return clients;
  }

  void prepared(Slot slot) {
    whenPrepared.accept(slot);
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the dirty log is closed");
    }
    devices.checkNotCalling();
  }

  // The end.

  /** Has every vCPU run its arm callback, also if nothing was left to be armed. */
  private void armAll() {
    lock.lock();
    try {
      vcpus.handshake().pagesArmed();
    } finally {
      lock.unlock();
    }
  }

  /** Arms all pages and seals, while all vCPUs are paused. */
  public void seal(Seal seal) {
    lock.lock();
    try {
      checkOpen();
      fetch();
      for (Slot slot : slots.used()) {
        clear(slot, slot.fetched().told());
        devices.clear(slot);
      }
    } finally {
      lock.unlock();
    }
    seal.set(true);
    armAll();
    try {
      // All others are offline; the caller's own vCPU, if it is one, drops what it holds, and finds
      // the log sealed as it does.
      afterSync();
    } catch (RuntimeException | Error e) {
      seal.set(false);
      throw e;
    }
  }

  /** A vCPU, which is offline and will not come back, leaves. What its ring holds is told first. */
  public void leave(Runnable leave) {
    lock.lock();
    try {
      if (clients.isAny()) {
        reap(); // also what it has begun to report, if its thread died
      }
      leave.run();
    } finally {
      lock.unlock();
    }
  }

  /** Closes all clients and devices, and takes the slots from the tracker. */
  public void close() {
    underLock(() -> closed = true);
    clients.endAll();
    devices.closeAll();
    SlotSwap.removeAtClose(this);
    armAll();
    vcpus.handshake().barrier();
    closeTracker();
  }

  private void closeTracker() {
    lock.lock();
    try {
      if (trackerClosed) {
        return;
      }
      trackerClosed = true;
    } finally {
      lock.unlock();
    }
    tracker.close();
  }
}
