package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;

/**
 * Dirty pages that a client has taken: a transaction. The barrier is over when it is handed out, so
 * its pages may be read. Acknowledge what was dealt with; {@link #close}, also after an exception,
 * makes dirty again exactly what was not.
 *
 * <p>For one thread at a time.
 */
public final class DirtyBatch implements AutoCloseable {
  private final DirtyClient client;
  private final Map<LogSlot, PageSet> held = new LinkedHashMap<>();
  private long barrierNanos;
  private boolean closed;

  DirtyBatch(DirtyClient client) {
    this.client = client;
  }

  PageSet pages(LogSlot slot) {
    return held.computeIfAbsent(slot, client::spare);
  }

  void forEachSlot(BiConsumer<LogSlot, PageSet> consumer) {
    held.forEach(consumer);
  }

  void opened(long waited) {
    barrierNanos = waited;
  }

  /** {@return how long the barrier of this batch took, in nanoseconds} */
  public long barrierNanos() {
    return barrierNanos;
  }

  /** {@return how many pages are not acknowledged yet} */
  public long pageCount() {
    long sum = 0;
    for (PageSet pages : held.values()) {
      sum += pages.size();
    }
    return sum;
  }

  /**
   * Hands out the pages that are not acknowledged yet, as runs: slot by slot in the order in which
   * they were added, pages ascending. The consumer may acknowledge the run it was given.
   *
   * @param consumer gets the runs; what it throws comes through
   * @throws IllegalStateException if the batch is closed
   */
  public void forEachRun(SlotRunConsumer consumer) {
    checkOpen();
    held.forEach(
        (slot, pages) -> pages.forEachRun((first, count) -> consumer.accept(slot, first, count)));
  }

  /**
   * Acknowledges pages: they are dealt with. Pages of the range that the batch does not hold, all
   * of them perhaps, are ignored.
   *
   * @param slotId slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalStateException if the batch is closed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalArgumentException if there is no such slot
   */
  public void acknowledge(int slotId, long firstPage, long pageCount) {
    checkOpen();
    for (Map.Entry<LogSlot, PageSet> entry : held.entrySet()) {
      if (entry.getKey().id() == slotId) {
        entry.getValue().removeRange(firstPage, pageCount);
        return;
      }
    }
    client.checkRange(slotId, firstPage, pageCount);
  }

  /**
   * As {@link #acknowledge(int, long, long)}, also for a slot that was removed meanwhile.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalStateException if the batch is closed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalArgumentException if the slot is another log's; nothing is changed
   */
  public void acknowledge(LogSlot slot, long firstPage, long pageCount) {
    checkOpen();
    client.checkOfLog(slot);
    DirtyClient.checkRange(slot, firstPage, pageCount);
    PageSet pages = held.get(slot);
    if (pages != null) {
      pages.removeRange(firstPage, pageCount);
    }
  }

  /**
   * Acknowledges all pages.
   *
   * @throws IllegalStateException if the batch is closed
   */
  public void commit() {
    checkOpen();
    held.values().forEach(PageSet::clear);
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the batch is closed");
    }
  }

  /**
   * Ends the batch: pages that were not acknowledged are dirty again. A second call does nothing.
   */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      client.giveBack(this);
      held.clear(); // the sets are the next batch's
    }
  }
}
