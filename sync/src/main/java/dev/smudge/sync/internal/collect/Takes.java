package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.event.TakeEvent;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/**
 * What clients do with their pages: take, give back, discard, look without taking, and mark what
 * they write themselves.
 *
 * <p><b>A take</b>, in the order of the methods below. Under the lock: every tracker tells what is
 * new, which goes into the view of every client ({@link Collector#fetch}); the client's pages move
 * from its view into a batch ({@link #move}); those of them that {@link FetchedBits} has are
 * cleared in the tracker ({@link Collector#clear}), so that the next write to them is found. A take
 * of everything has trackers clear as they tell, if they can ({@link ClearingTracker}): then a page
 * is touched once, and there is nothing left to clear. Without the lock: the after-sync barrier,
 * after which no vCPU relies on a bit from before. Only then is the batch handed out, and its pages
 * are read.
 *
 * <p><b>A take that is cut short</b> gives its pages back. Where even that is cut short, the batch
 * stays the client's, says that it failed, and the client's next call gives it back. Source:
 * docs/design.md 3.4 and 3.8; QEMU accel/kvm/kvm-all.c.
 */
@SuppressWarnings("ReferenceEquality") // clients are compared by identity
public final class Takes {
  private final Collector collector;

  Takes(Collector collector) {
    this.collector = collector;
  }

  /**
   * Takes at most {@code limit} dirty pages for the client of a batch, into the batch: of a range
   * of one slot, or of all slots where {@code only} is null. Fetches first if {@code sync}. After
   * return the batch's pages may be read.
   */
  public void take(
      TakenPages batch,
      @Nullable Slot only,
      long firstPage,
      long pageCount,
      long limit,
      boolean sync) {
    ClientView client = batch.client();
    CollectorLock lock = collector.lock();
    TakeEvent event = new TakeEvent();
    event.begin();
    try {
      int held = lock.begin();
      try {
        lock.take(held);
        check(client, only, firstPage, pageCount);
        client.checkHasNoOpenBatch();
        boolean all = only == null && limit == Long.MAX_VALUE;
        if (sync) {
          collector.verification().fetch(all, client);
        }
        client.open(batch);
        move(client, batch, only, firstPage, pageCount, limit);
        clear(batch, all);
        batch.armed = collector.verification().armed();
      } catch (StackOverflowError e) {
        lock.stackEnded = true;
        throw e;
      } finally {
        lock.giveBack(held);
      }
      // Always, also when nothing was cleared: another client may have cleared these pages a moment
      // ago and be waiting for its own barrier (docs/design.md 3.4).
      long start = System.nanoTime();
      if (!collector.afterSync()) {
        collector.lock().run(() -> addBack(batch));
      } else {
        collector.verification().barrierPassed(batch.armed);
      }
      batch.barrierTook(System.nanoTime() - start);
      if (event.shouldCommit()) {
        event.client = client.name();
        event.pages = batch.pageCount();
        event.barrier = batch.barrierNanos();
        event.commit();
      }
      batch.handedOut();
    } catch (Throwable e) {
      batch.failed = true; // first: it cannot fail
      giveBackAfter(batch, e);
      throw e;
    }
  }

  /** Refuses a client that is closed; what it holds is whole after that. Under the lock. */
  void check(ClientView client) {
    check(client, null, 0, 0);
  }

  private void check(ClientView client, @Nullable Slot only, long firstPage, long pageCount) {
    collector.checkOpen();
    client.checkOpen();
    finish(client);
    if (only != null) {
      collector.slots().checkCurrent(only);
      only.checkRange(firstPage, pageCount);
    }
  }

  /** Gives back what a call that was cut short could not. Under the lock. */
  private void finish(ClientView client) {
    for (TakenPages batch = client.failed(); batch != null; batch = client.failed()) {
      giveBackLocked(batch);
    }
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
      for (Slot slot : collector.slots().used()) {
        client.moveRange(batch, slot, 0, slot.pageCount(), limit);
      }
    } else {
      client.moveFromCursor(batch, collector.slots().used(), limit);
    }
  }

  /**
   * Slot by slot after all was moved: an error leaves every page in view or batch. Where {@code
   * all} pages of the client were moved, whatever was told is in the batch.
   */
  private void clear(TakenPages batch, boolean all) {
    for (TakenPages.Held held : batch.slots()) {
      collector.clear(held.slot, all ? held.slot.fetched().told() : held.pages);
    }
    for (TakenPages.Held held : batch.slots()) {
      collector.devices().clear(held.slot, held.pages);
    }
  }

  private static void addBack(TakenPages batch) {
    if (!batch.client().isClosed()) {
      batch.addBack();
    }
  }

  /**
   * The batch is done: what it holds still is dirty again for its client. Can be repeated; if this
   * is cut short, and nobody does, the client's next call does.
   */
  public void giveBack(TakenPages batch) {
    boolean done = false;
    try {
      giveBackOnce(batch);
      done = true;
    } finally {
      if (!done) {
        batch.failed = true; // calls nothing: there may be no stack
      }
    }
    batch.closed(); // last: the batch is given back whatever this throws
  }

  private void giveBackOnce(TakenPages batch) {
    CollectorLock lock = collector.lock();
    boolean mayRelease;
    int held = lock.begin();
    try {
      lock.take(held);
      giveBackLocked(batch);
      mayRelease = collector.slots().isAnyUnreleased();
    } catch (StackOverflowError e) {
      lock.stackEnded = true;
      throw e;
    } finally {
      lock.giveBack(held);
    }
    if (mayRelease) {
      collector.releaseUnused();
    }
  }

  /** Reads a copy of pages that are dirty. */
  public interface CopyReader<E extends Exception> {
    /** Called once, without the lock. */
    void accept(TakenPages copy) throws E;
  }

  private void giveBackAfter(TakenPages batch, Throwable error) {
    try {
      giveBack(batch);
    } catch (Throwable e) {
      // The client's next call gives it back.
      if (!e.equals(error)) { // the JVM throws one OutOfMemoryError several times
        error.addSuppressed(e);
      }
    }
  }

  private void giveBackLocked(TakenPages batch) {
    ClientView client = batch.client();
    collector.verification().drop(batch.armed);
    batch.giveBack(client.has(batch)); // not to a client that was closed
    client.forget(batch);
  }

  /**
   * Takes pages out of a client's view and clears them in the trackers: only a later write makes
   * them dirty again. The other clients keep what is theirs. It is a take of which every page is
   * acknowledged, beside the batch that the client may have open.
   */
  public void discard(ClientView client, Slot slot, long firstPage, long pageCount) {
    TakenPages gone = new TakenPages(client);
    try {
      collector.locked(
          new Runnable() { // no lambda over longs: it may stay unlinked (design.md 3.8)
            @Override
            public void run() {
              check(client, slot, firstPage, pageCount);
              collector.verification().fetch(false, client);
              client.setAside(gone);
              client.moveRange(gone, slot, firstPage, pageCount, Long.MAX_VALUE);
              clear(gone, false);
              gone.armed = collector.verification().armed();
            }
          });
      if (!collector.afterSync()) {
        collector.lock().run(() -> addBack(gone));
      } else {
        collector.verification().barrierPassed(gone.armed);
      }
      gone.acknowledgeAll();
    } catch (Throwable e) {
      gone.failed = true;
      giveBackAfter(gone, e);
      throw e;
    }
    giveBack(gone);
  }

  /**
   * Hands out a copy of what is dirty for a client, what its open batch holds included, and takes
   * nothing. Fetches first. The slots are not released meanwhile.
   */
  public <E extends Exception> void look(ClientView client, CopyReader<E> reader) throws E {
    TakenPages copy = TakenPages.ofCopies(client);
    try {
      collector.locked(() -> {
        check(client);
        collector.verification().fetch(false, client);
        client.setAside(copy);
        client.copyInto(collector.slots().used(), copy::of);
      });
      reader.accept(copy);
    } catch (Throwable e) { // what the reader throws too
      copy.failed = true;
      giveBackAfter(copy, e);
      throw e;
    }
    giveBack(copy);
  }

  /** Makes pages dirty for a client, besides those that are; all of a slot that is not listed. */
  public void add(ClientView client, InputStream exported) throws IOException {
    collector.locked(() -> check(client));
    ExportedPages pages = ExportedPages.read(exported, collector.slots().used());
    collector.locked(() -> {
      check(client);
      Slot[] slots = collector.slots().used();
      pages.checkAreOf(slots);
      for (Slot slot : slots) {
        PageSet set = pages.of(slot);
        if (set == null) {
          client.of(slot).addAll();
        } else {
          client.of(slot).addAll(set);
        }
      }
    });
  }

  /**
   * Marks bytes that a client has written itself, for all other clients: their views get the pages,
   * and its own does not. The trackers are not told, so a write by the guest to the same page is
   * found as usual, by this client too.
   */
  public void markForOthers(ClientView client, Slot slot, long byteOffset, long length) {
    collector.locked(
        new Runnable() { // no lambda over longs: it may stay unlinked (design.md 3.8)
          @Override
          public void run() {
            markForOthersLocked(client, slot, byteOffset, length);
          }
        });
  }

  /** Refuses what {@link #markForOthers} would, as things are now. Takes no lock. */
  public void checkMayMark(ClientView client, Slot slot) {
    collector.checkOpen();
    client.checkOpen();
    slot.checkTakesMarks(collector.slots());
  }

  private void markForOthersLocked(ClientView client, Slot slot, long byteOffset, long length) {
    check(client);
    slot.checkTakesMarks(collector.slots());
    if (slot.isNothing(byteOffset, length)) {
      return;
    }
    long first = byteOffset >>> slot.pageShift();
    long count = ((byteOffset + length - 1) >>> slot.pageShift()) - first + 1;
    slot.views().known(first, count);
    for (ClientView other : collector.clients().all()) {
      if (other != client) {
        other.addRange(slot, first, count);
      }
    }
    collector.reportIfSealed(slot, byteOffset);
  }
}
