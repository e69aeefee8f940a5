package dev.smudge.core;

import dev.smudge.sync.DirtyBatch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;

/**
 * Dirty pages that a client has taken, and their content: a transaction, see {@link DirtyBatch}.
 * The barrier is over when it is handed out; there is no other way to a page's content for sending.
 *
 * <p>A slot that is removed or changed meanwhile stays in the batch as it was, and its content can
 * be read until the batch is closed.
 *
 * <p>For one thread at a time.
 */
public final class GuestBatch implements AutoCloseable {
  private final DirtyBatch batch;

  GuestBatch(DirtyBatch batch) {
    this.batch = batch;
  }

  /** {@return how many pages are not acknowledged yet} */
  public long pageCount() {
    return batch.pageCount();
  }

  /** {@return how long the barrier of this batch took, in nanoseconds} */
  public long barrierNanos() {
    return batch.barrierNanos();
  }

  /**
   * Hands out the pages that are not acknowledged yet, as runs: slot by slot in the order in which
   * they were added, pages ascending. The consumer may acknowledge the run it was given.
   *
   * @param consumer gets the runs; what it throws comes through
   * @throws IOException if the consumer throws it
   * @throws IllegalStateException if the batch is closed
   */
  public void forEachRun(GuestRunConsumer consumer) throws IOException {
    try {
      batch.forEachRun((logSlot, firstPage, pageCount) -> {
        GuestSlot slot = GuestSlot.of(logSlot);
        long pageSize = slot.pageSize();
        MemorySegment content =
            slot.ram.asSlice(firstPage * pageSize, pageCount * pageSize).asReadOnly();
        try {
          consumer.accept(slot, firstPage, pageCount, content);
        } catch (IOException e) {
          throw new Carried(e);
        }
      });
    } catch (Carried e) {
      throw e.carried;
    }
  }

  /** An exception of the consumer on its way through the walk. */
  private static final class Carried extends UncheckedIOException {
    private static final long serialVersionUID = 1L;
    private final IOException carried;

    Carried(IOException carried) {
      super(carried);
      this.carried = carried;
    }
  }

  /**
   * Acknowledges pages: they are dealt with. Pages of the range that the batch does not hold are
   * ignored.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalStateException if the batch is closed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalArgumentException if the slot is not of this memory; nothing is changed
   */
  public void acknowledge(GuestSlot slot, long firstPage, long pageCount) {
    batch.acknowledge(slot.log, firstPage, pageCount);
  }

  /**
   * Acknowledges all pages.
   *
   * @throws IllegalStateException if the batch is closed
   */
  public void commit() {
    batch.commit();
  }

  /**
   * Ends the batch: pages that were not acknowledged are dirty again. A second call does nothing.
   */
  @Override
  public void close() {
    batch.close();
  }
}
