package dev.smudge.sync;

import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.TakenPages;
import dev.smudge.sync.internal.facade.SlotMapping;

/**
 * Dirty pages that a client has taken. When the client gets the batch, the barrier is over, so its
 * pages may be read. Acknowledge each page when its content is safe; {@link #close}, also after an
 * exception, makes exactly the pages dirty again that were not acknowledged.
 *
 * <p>A slot that is removed or changed meanwhile stays in the batch as it was, and its content can
 * be read until the batch is closed.
 *
 * <p>Threads: any number at once, exact under any interleaving. Several threads may send parts of
 * one batch, and acknowledge each its own part. The close gives back exactly the pages that no
 * thread has acknowledged. Close the batch when all threads are done: an acknowledgement after the
 * close comes too late, and its pages are dirty again.
 *
 * @param <S> the type of slots that its client hands out
 */
public final class DirtyBatch<S> implements AutoCloseable {
  private final Collector collector;
  private final SlotMapping<S> mapping;
  private final TakenPages pages;
  private volatile boolean closed;

  DirtyBatch(Collector collector, SlotMapping<S> mapping, TakenPages pages) {
    this.collector = collector;
    this.mapping = mapping;
    this.pages = pages;
  }

  /** {@return how long the barrier of this batch took, in nanoseconds} */
  public long barrierNanos() {
    return pages.barrierNanos();
  }

  /** {@return how many pages are not acknowledged yet} */
  public long pageCount() {
    return pages.pageCount();
  }

  TakenPages pages() {
    return pages;
  }

  /**
   * Hands out the pages that are not acknowledged yet, as runs: slot by slot in the order in which
   * the slots were added, pages ascending. The consumer may acknowledge any pages, and so may other
   * threads meanwhile: a page that is acknowledged before the walk comes to it is not handed out.
   * {@link #commit} ends the walk in this way.
   *
   * @param consumer gets the runs; what it throws comes through
   * @param <E> what it may throw
   * @throws E if the consumer throws it
   * @throws IllegalStateException if the batch is closed, or is closed during the walk, by the
   *     consumer or another thread. What was not acknowledged by then is dirty again
   */
  public <E extends Exception> void forEachRun(RunConsumer<? super S, E> consumer) throws E {
    forEachRun(Long.MAX_VALUE, consumer);
  }

  /**
   * As {@link #forEachRun(RunConsumer)}, in runs of at most the given number of pages, so that the
   * content of a run fits into a {@link java.nio.ByteBuffer} of at most 2 GiB, or into a packet.
   *
   * @param maxPages most pages in a run, at least 1
   * @param consumer gets the runs; what it throws comes through
   * @param <E> what it may throw
   * @throws E if the consumer throws it
   * @throws IllegalArgumentException if {@code maxPages} is less than 1; nothing is handed out
   * @throws IllegalStateException as {@link #forEachRun(RunConsumer)}
   */
  @SuppressWarnings("unchecked") // what it throws is E, as is declared here
  public <E extends Exception> void forEachRun(long maxPages, RunConsumer<? super S, E> consumer)
      throws E {
    if (maxPages < 1) {
      throw new IllegalArgumentException("maxPages " + maxPages + " is less than 1");
    }
    checkOpen();
    RunConsumer<? super S, RuntimeException> runs =
        (RunConsumer<? super S, RuntimeException>) consumer;
    pages.forEachRun(
        maxPages, (slot, first, count) -> runs.accept(mapping.toUser(slot), first, count));
  }

  /**
   * Acknowledges pages: the close will not make them dirty again. Pages of the range that the batch
   * does not hold are ignored.
   *
   * @param slot slot, also one that was removed meanwhile
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalStateException if the batch is closed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalArgumentException if the slot is another log's; nothing is changed
   */
  public void acknowledge(S slot, long firstPage, long pageCount) {
    checkOpen();
    Slot of = mapping.toSlot(slot);
    of.checkOf(collector.slots());
    of.checkRange(firstPage, pageCount);
    pages.acknowledge(of, firstPage, pageCount);
  }

  /**
   * Acknowledges all pages.
   *
   * @throws IllegalStateException if the batch is closed
   */
  public void commit() {
    checkOpen();
    pages.acknowledgeAll();
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the batch is closed");
    }
  }

  /**
   * Ends the batch: pages that were not acknowledged are dirty again. A second call, by another
   * thread too, does nothing. If the first was cut short by an error, a second gives back what is
   * left, or the client's next call does.
   */
  @Override
  public void close() {
    if (!closed) {
      collector.takes().giveBack(pages);
      closed = true;
    }
  }
}
