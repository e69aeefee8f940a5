package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.counter.LogCounters;
import dev.smudge.sync.internal.vcpu.VcpuGroup;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.tracker.TrackerVcpus;
import dev.smudge.sync.verify.PageContent;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The owner of the collector lock, and of what is done under it: fetch, reap, clear, seal. {@link
 * Takes} has what clients do.
 *
 * <p><b>No page is ever in no place.</b> A page that was found is in the tracker's bit until it is
 * in every view, in a view until it is in a batch, in a batch until it is acknowledged or back in
 * the view. Each step adds to the new place before it takes from the old one, and can be repeated.
 * So an error at any point leaves every page in at least one place, and the next call finishes what
 * was begun: {@link #settle} does it first, whatever that call is for. Source: docs/design.md 3.8.
 */
public final class Collector {
  private final CollectorLock lock = new CollectorLock(this::settle, this::settleEpoch);
  private final SlotTable slots = new SlotTable();
  private final Tracker tracker;
  private final VcpuGroup vcpus;
  private final DeviceLogs devices = new DeviceLogs(this);
  private final RingNews news = new RingNews(slots);
  private final LogCounters counters = new LogCounters();
  private final Clients clients = new Clients(this);
  private final Takes takes = new Takes(this);
  private final WatchClient watchClient = new WatchClient(this);
  private Verification verification = new Verification(this);
  private final boolean countsFetched;
  private final Consumer<Slot> whenPrepared;

  // Under the lock.
  private volatile boolean closed; // volatile for looks without it
  private boolean trackerClosed;
  private @Nullable Seal seal; // the log's, once it was sealed

  // What an error has left undone, perhaps. Under the lock.
  private boolean armed; // pages, and the epoch has not moved
  private boolean reset; // rings, and nobody was woken
  private @Nullable SlotSwap halfMade;
  private BooleanSupplier ownersDoubt = () -> false;

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
    vcpus.refuseWaits(lock::isMine);
  }

  /** Has every tracker tell what is new. Under the lock. */
  void fetch() {
    fetch(false);
  }

  /**
   * As {@link #fetch()}; {@code clear} says that whatever is told is cleared right after it:
   * trackers that can clear in the same step do.
   */
  void fetch(boolean clear) {
    reap();
    for (Slot slot : slots.used()) {
      if (clear && slot.fetched().canCollectAndClear() && !slot.views().isVerified()) {
        collectAndClear(slot);
        collectOthers(slot);
        continue;
      }
      if (clear) {
        slot.fetched().part().expectClear();
      }
      fetch(slot);
    }
    for (LeavingSlot leaving : slots.leaving()) {
      fetch(leaving.slot());
    }
  }

  /** Fetches if the slot was removed, and may have marks that nobody fetched. Under the lock. */
  void fetchIfLeaving(Slot slot) {
    if (!closed && clients.isAny() && slots.isLeaving(slot)) {
      fetch();
    }
  }

  /** Runs a step that others have to follow: reports what it throws, and returns false then. */
  boolean attempt(Runnable step) {
    try {
      step.run();
      return true;
    } catch (Throwable e) {
      lock.keepInMind(e);
      vcpus.errorHandler().accept(e);
      return false;
    }
  }

  /** Under the lock; there is a client. */
  int reap() {
    if (!tracker.hasRings()) {
      return 0;
    }
    boolean armedBefore = armed;
    boolean resetBefore = reset;
    armed = true; // if it is cut short, perhaps
    reset = true;
    try {
      int found = tracker.reapRings(news);
      armed = armedBefore || found > 0;
      reset = resetBefore || found > 0;
      if (countsFetched) {
        counters.addReaped(found);
      }
      return found;
    } finally {
      news.tell();
    }
  }

  /** Under the lock. */
  void fetch(Slot slot) {
    long pages = slot.fetched().collect(slot.views());
    if (countsFetched) {
      counters.addFetched(pages);
    }
    collectOthers(slot);
  }

  private void collectAndClear(Slot slot) {
    boolean armedBefore = armed;
    armed = true; // if it is cut short, perhaps
    boolean cleared = slot.fetched().collectAndClear(slot.views());
    armed = armedBefore || cleared;
  }

  private void collectOthers(Slot slot) {
    slot.hostMarks().drain(slot.views()::tell);
    if (slot.watches().mayBeMarked()) {
      slot.watches()
          .drain((wordIndex, pages) -> {
            armed = true; // a vCPU may keep what lets it skip the mark of such a page
            slot.views().tell(wordIndex, pages);
          });
    }
    devices.collect(slot);
  }

  /**
   * Clears in the tracker those of {@code pages} that it has told of and that were not cleared
   * since. Under the lock. The caller gets its barrier afterwards in any case.
   */
  void clear(Slot slot, PageSet pages) {
    ClearRanges clear = slot.fetched().clear(pages);
    boolean armedBefore = armed;
    armed = true; // if it is cut short, perhaps
    clear.run();
    // Only now: a page that is armed and counts as told is in every view, so nothing is lost if
    // the tracker throws half-way.
    slot.fetched().forget(pages);
    armed = armedBefore || clear.hasCleared();
  }

  /** The barrier, of the tracker and then of all devices; returns whether all completed it. */
  public boolean afterSync() {
    tracker.afterSync();
    return devices.afterSync();
  }

  /**
   * Fetches for all clients. Does nothing without a client: no page is armed then, and none may
   * become so.
   */
  public void sync() {
    locked(() -> {
      checkOpen();
      if (clients.isAny()) {
        verification.fetch(false, "sync");
      }
    });
    if (slots.isReleaseCutShort() && !isLockedByMe()) {
      releaseUnused();
    }
  }

  /** {@return how many pages are dirty for a client, as far as the last fetch knew} */
  public long dirtyPages(ClientView client) {
    return underLock(client::size);
  }

  // What others under the lock need.

  CollectorLock lock() {
    return lock;
  }

  /** {@return whether the calling thread holds the lock} */
  public boolean isLockedByMe() {
    return lock.isMine();
  }

  /** Does something under the lock. */
  public <T> T underLock(Supplier<T> what) {
    return lock.get(what);
  }

  /** Does something under the lock, while the log is open. */
  public <T> T locked(Supplier<T> what) {
    return lock.get(() -> {
      checkOpen();
      return what.get();
    });
  }

  /** Does something under the lock, while the log is open. */
  void locked(Runnable what) {
    lock.run(() -> {
      checkOpen();
      what.run();
    });
  }

  /** Refuses, in a call under the lock, what takes locks before it, or waits for vCPUs. */
  void checkNotLocked(Object what) {
    if (isLockedByMe()) {
      throw new IllegalStateException(
          what
              + " was used in a call under the collector lock, by a device or by a listener that a"
              + " device's mark has called: let another thread do it, after that call");
    }
  }

  /** From now on only one owner changes the slots; it can read what they contain. */
  public void claim(String owner, PageContent content, BooleanSupplier takeDoubt) {
    locked(() -> {
      slots.claim(owner);
      ownersDoubt = takeDoubt;
      verification.content(content);
    });
  }

  /** Finishes what an error has left undone. Called first in every section under the lock. */
  private void settle() {
    settleEpoch();
    if (halfMade != null) {
      halfMade.settle();
    }
    SlotSwap.takeBack(this);
    devices.settle();
    slots.unretired().forEach(SlotRetirement::settle);
    watchClient.settle();
    clients.settle();
    if (lock.stackEnded || ownersDoubt.getAsBoolean()) {
      lock.stackEnded = true;
      doubtAll();
      lock.stackEnded = false; // last: else once more
    }
  }

  /** Every page is dirty for every client, whatever is in the sets; and then none is armed. */
  private void doubtAll() {
    for (ClientView client : clients.all()) {
      client.doubt();
    }
    for (Slot slot : slots.used()) {
      slot.fetched().countAllAsTold();
    }
    slots.doubtRemoved();
  }

  /**
   * Before the lock is given back, and with it before every barrier: where pages were armed, vCPUs
   * drop what lets them skip a mark; where rings were reset, those that wait for room go on.
   */
  private void settleEpoch() {
    if (armed) {
      vcpus.handshake().pagesArmed();
      armed = false;
    }
    if (reset) {
      vcpus.pressure().wake();
      reset = false;
    }
  }

  /** Pages are about to be armed, or slots to be exchanged. Under the lock. */
  void willArm() {
    armed = true;
  }

  /** A change of the slots has begun; null when it is made, or undone. Under the lock. */
  void halfMade(@Nullable SlotSwap swap) {
    halfMade = swap;
  }

  /** Releases removed slots that nobody uses any more. Without the lock. */
  void releaseUnused() {
    slots.releaseUnused(lock, vcpus.errorHandler());
  }

  void reportIfSealed(Slot slot, long byteOffset) {
    if (seal != null) {
      seal.report(slot, byteOffset);
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

  /** {@return whether the tracker finds the guest's writes without marks of the log's} */
  public boolean findsWithoutMarks() {
    return countsFetched;
  }

  /** {@return the log's own vCPUs} */
  public VcpuGroup vcpus() {
    return vcpus;
  }

  /** {@return what was counted; under the lock} */
  public LogCounters counters() {
    return counters;
  }

  /** {@return what clients do with their pages} */
  public Takes takes() {
    return takes;
  }

  /** {@return who clears pages that are watched} */
  WatchClient watchClient() {
    return watchClient;
  }

  /** Whether a slot is in use, and the log is open. */
  boolean isCurrent(Slot slot) {
    return underLock(() -> !closed && slots.isCurrent(slot));
  }

  /** {@return what looks for writes that were not reported} */
  public Verification verification() {
    return verification;
  }

  /** Has writes verified, before there is any client. */
  public void verification(Verification by) {
    verification = by;
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

  /** Arms all pages and seals, while all vCPUs are paused. */
  public void seal(Seal seal) {
    locked(() -> {
      this.seal = seal;
      fetch(true);
      for (Slot slot : slots.used()) {
        clear(slot, slot.fetched().told());
        devices.clear(slot);
      }
    });
    seal.set(true);
    try {
      lock.run(this::willArm); // also if nothing was left to be armed
      // All others are offline; the caller's own vCPU drops what it holds, and finds it sealed.
      afterSync();
    } catch (Throwable e) {
      seal.set(false);
      throw e;
    }
  }

  /** A vCPU, which is offline and will not come back, leaves. What its ring holds is told first. */
  public void leave(Runnable leave) {
    lock.run(() -> {
      if (clients.isAny()) {
        reap(); // also what it has begun to report, if its thread died
      }
      leave.run();
    });
  }

  /** Closes all clients and devices, and takes the slots from the tracker. */
  public void close() {
    TrackerVcpus own = tracker.vcpus();
    if (own != null) {
      own.close();
    }
    lock.run(() -> closed = true);
    clients.endAll();
    devices.closeAll();
    SlotSwap.removeAtClose(this);
    lock.run(this::willArm);
    vcpus.handshake().barrier();
    boolean[] open = new boolean[1];
    lock.run(() -> {
      open[0] = !trackerClosed;
      trackerClosed = true;
    });
    if (open[0]) {
      try {
        tracker.close();
      } finally {
        verification.close();
      }
    }
  }
}
