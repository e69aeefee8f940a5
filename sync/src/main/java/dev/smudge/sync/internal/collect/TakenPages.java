package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/** Pages that a client has taken and not acknowledged. For one thread at a time. */
public final class TakenPages {
  private final ClientView client;
  private final Map<Slot, PageSet> held = new LinkedHashMap<>();
  private long barrierNanos;

  TakenPages(ClientView client) {
    this.client = client;
  }

  ClientView client() {
    return client;
  }

  /** The pages of a slot, none at first. Under the collector lock. */
  PageSet of(Slot slot) {
    PageSet pages = held.get(slot);
    if (pages == null) {
      pages = client.takeSpare(slot);
      held.put(slot, pages);
      slot.views().hold(); // the last, which cannot fail: from here on the batch lets it go
    }
    return pages;
  }

  /** {@return the pages of a slot, if there were any} */
  public @Nullable PageSet find(Slot slot) {
    return held.get(slot);
  }

  /** Walks through the slots in the order in which they were added to the log. */
  public void forEachSlot(BiConsumer<Slot, PageSet> consumer) {
    held.forEach(consumer);
  }

  /** {@return how many pages are not acknowledged} */
  public long pageCount() {
    long sum = 0;
    for (PageSet pages : held.values()) {
      sum += pages.size();
    }
    return sum;
  }

  /** Acknowledges all. */
  public void acknowledgeAll() {
    held.values().forEach(PageSet::clear);
  }

  void barrierTook(long nanos) {
    barrierNanos = nanos;
  }

  /** {@return how long its barrier took} */
  public long barrierNanos() {
    return barrierNanos;
  }

  /**
   * Hands out each slot, and forgets it when that has returned: after an error a second walk goes
   * on with the rest.
   */
  void forEachSlotOnce(BiConsumer<Slot, PageSet> consumer) {
    Iterator<Map.Entry<Slot, PageSet>> each = held.entrySet().iterator();
    while (each.hasNext()) {
      Map.Entry<Slot, PageSet> next = each.next();
      consumer.accept(next.getKey(), next.getValue());
      each.remove();
    }
  }
}
