package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.event.BatchEvent;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Pages that a client has taken and not acknowledged. Several threads may acknowledge, count and
 * walk at once: each look and each change is one step under this object's monitor, which is never
 * held while foreign code runs. Whoever needs the collector lock too takes that one first.
 */
public final class TakenPages {
  /** Receives runs of pages that are not acknowledged. */
  public interface Runs {
    /** Called once per run. */
    void accept(Slot slot, long firstPage, long pageCount);
  }

  /** Pages of one slot. */
  static final class Held {
    final Slot slot;
    final PageSet pages;
    boolean holds; // the slot: it is not released meanwhile
    boolean gone; // given back, and the set is the client's again

    Held(Slot slot, PageSet pages) {
      this.slot = slot;
      this.pages = pages;
    }
  }

  private final ClientView client;
  private final boolean copies; // pages that are the client's still
  private final Map<Slot, Held> held = new LinkedHashMap<>(); // under this
  private volatile long barrierNanos;

  /** What was armed as it was taken, for the verify mode. Under the collector lock. */
  Verification.@Nullable Armed armed;

  private final BatchEvent event = new BatchEvent();
  private boolean handedOut; // and not closed yet

  /** Its take or its close was cut short: nobody has it, and the next call gives it back. */
  volatile boolean failed;

  /** Of the client's discards that are under way; under the collector lock. */
  @Nullable TakenPages next;

  /** Makes one without pages. */
  public TakenPages(ClientView client) {
    this(client, false);
  }

  private TakenPages(ClientView client, boolean copies) {
    this.client = client;
    this.copies = copies;
  }

  /** Makes one for copies of pages, which stay where they are. It gives nothing back. */
  static TakenPages ofCopies(ClientView client) {
    return new TakenPages(client, true);
  }

  ClientView client() {
    return client;
  }

  /** The pages of a slot, none at first. Under the collector lock, before it is handed out. */
  synchronized PageSet of(Slot slot) {
    Held pages = held.get(slot);
    if (pages == null) {
      pages = new Held(slot, copies ? new PageSet(slot.pageCount()) : client.takeSpare(slot));
      held.put(slot, pages);
      slot.views().hold(); // the last: from here on the batch lets it go
      pages.holds = true;
    }
    return pages.pages;
  }

  /** Slot by slot, in the order in which they came, before it is handed out. */
  Iterable<Held> slots() {
    return held.values();
  }

  /** {@return how many pages are not acknowledged} */
  public synchronized long pageCount() {
    long sum = 0;
    for (Held pages : held.values()) {
      sum += pages.pages.size();
    }
    return sum;
  }

  /** Acknowledges pages of a range, those of them that are here. */
  public synchronized void acknowledge(Slot slot, long firstPage, long pageCount) {
    Held pages = held.get(slot);
    if (pages != null && !pages.gone) {
      pages.pages.removeRange(firstPage, pageCount);
    }
  }

  /** Acknowledges all. */
  public synchronized void acknowledgeAll() {
    for (Held pages : held.values()) {
      if (!pages.gone) {
        pages.pages.clear();
      }
    }
  }

  /**
   * Hands out the pages that are here, slot by slot in the order in which they were added to the
   * log, ascending, in runs of at most so many. Looks again after each run, so what is acknowledged
   * meanwhile does not come any more.
   *
   * @throws IllegalStateException if they were given back meanwhile
   */
  public void forEachRun(long maxPages, Runs consumer) {
    for (Held pages : slotsOfNow()) {
      long[] run = new long[2];
      while (find(pages, run[0] + run[1], maxPages, run)) {
        consumer.accept(pages.slot, run[0], run[1]);
      }
    }
  }

  private synchronized List<Held> slotsOfNow() {
    return new ArrayList<>(held.values());
  }

  /** Finds the first run from a page on; returns whether there is one. */
  private synchronized boolean find(Held pages, long from, long maxPages, long[] run) {
    if (pages.gone) {
      throw new IllegalStateException(
          "the batch was closed while its runs were being handed out: pages that were not"
              + " acknowledged by then are dirty again, and come with a later take");
    }
    PageSet set = pages.pages;
    long first = set.nextPage(from);
    if (first < 0) {
      return false;
    }
    long most = Math.min(maxPages, set.pageCount() - first);
    run[0] = first;
    run[1] = set.endOfRun(first, first + most) - first;
    return true;
  }

  /** The take is over. */
  void handedOut() {
    event.begin();
    handedOut = true;
  }

  /** It was closed. */
  void closed() {
    if (handedOut && event.shouldCommit()) {
      event.client = client.name();
      event.commit();
    }
    handedOut = false;
  }

  void barrierTook(long nanos) {
    barrierNanos = nanos;
  }

  /** {@return how long its barrier took} */
  public long barrierNanos() {
    return barrierNanos;
  }

  /**
   * Gives back what is here, to the client if it is still to have it, and lets the slots go. Under
   * the collector lock. After an error, a second call goes on with the rest.
   */
  synchronized void giveBack(boolean toClient) {
    Iterator<Held> each = held.values().iterator();
    while (each.hasNext()) {
      Held pages = each.next();
      if (toClient && !copies && !pages.gone) {
        event.givenBack += pages.pages.size();
        giveBack(pages.slot, pages.pages);
      }
      pages.gone = true;
      if (pages.holds) {
        pages.slot.views().letGo();
        pages.holds = false;
      }
      each.remove();
    }
  }

  private void giveBack(Slot slot, PageSet pages) {
    LeavingSlot leaving = slot.views().leaving();
    if (leaving == null) {
      client.giveBack(slot, pages, failed);
    } else {
      pages.forEachRun((first, count) -> leaving.carry(first, count, client));
    }
  }

  /** Adds what is not acknowledged to other sets, by slot. Under the collector lock. */
  synchronized void copyInto(Function<Slot, PageSet> sets) {
    if (copies) {
      return; // of pages that are elsewhere
    }
    for (Held pages : held.values()) {
      LeavingSlot leaving = pages.slot.views().leaving();
      if (pages.gone) {
        continue;
      }
      if (leaving == null) {
        sets.apply(pages.slot).addAll(pages.pages);
      } else {
        pages.pages.forEachRun((first, count) -> leaving.copyInto(first, count, sets));
      }
    }
  }

  /** Pages are dirty for the client again, besides being here. Under the collector lock. */
  void addBack() {
    for (Held pages : slots()) {
      LeavingSlot leaving = pages.slot.views().leaving();
      if (leaving == null) {
        client.of(pages.slot).addAll(pages.pages);
      } else {
        pages.pages.forEachRun((first, count) -> leaving.carry(first, count, client));
      }
    }
  }
}
