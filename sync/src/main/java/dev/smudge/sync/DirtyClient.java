package dev.smudge.sync;

import dev.smudge.sync.internal.collect.ClientView;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.TakenPages;
import dev.smudge.sync.internal.facade.SlotMapping;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One consumer of dirty pages, with its own view of what is dirty: a migration, a display, a code
 * cache, a snapshot. Made by {@link DirtyLog#client}, which hands out {@link LogSlot}s, or by
 * {@code GuestMemory.client}, which hands out {@code GuestSlot}s, whose {@code pages} are the
 * content.
 *
 * <p>Threads: any, one batch at a time.
 *
 * @param <S> what it calls a slot
 */
public final class DirtyClient<S> implements AutoCloseable {
  private final Collector collector;
  private final SlotMapping<S> mapping;
  private final ClientView view;

  DirtyClient(Collector collector, SlotMapping<S> mapping, ClientView view) {
    this.collector = collector;
    this.mapping = mapping;
    this.view = view;
  }

  ClientView view() {
    return view;
  }

  /** {@return the client's name} */
  public String name() {
    return view.name();
  }

  /**
   * Takes all dirty pages: fetches what is new, clears the pages for this client and in the
   * tracker, and waits for the barrier. After return the batch's pages may be read: every write to
   * them that is not visible then makes its page dirty again.
   *
   * @return the batch; close it. What it holds and was not acknowledged is dirty again on close
   * @throws IllegalStateException if the client or its log is closed, or its last batch is open
   *     still; nothing is taken
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are dirty
   *     still
   */
  public DirtyBatch<S> take() {
    return take(null, 0, 0, Long.MAX_VALUE, true);
  }

  /**
   * Takes what earlier syncs found, without another fetch: for several clients that share one
   * {@link DirtyLog#sync} per round. Otherwise as {@link #take()}.
   *
   * @return the batch
   */
  public DirtyBatch<S> takeSynced() {
    return take(null, 0, 0, Long.MAX_VALUE, false);
  }

  /**
   * Takes at most so many dirty pages, going on where the last such take ended and round again:
   * pages are armed in chunks, shortly before they are read. Otherwise as {@link #take()}.
   *
   * @param maxPages most pages to take, at least 1
   * @return the batch
   * @throws IllegalArgumentException if {@code maxPages} is less than 1; nothing is taken
   */
  public DirtyBatch<S> takeAtMost(long maxPages) {
    if (maxPages < 1) {
      throw new IllegalArgumentException("maxPages " + maxPages + " is less than 1");
    }
    return take(null, 0, 0, maxPages, true);
  }

  /**
   * Takes the dirty pages of a range. Otherwise as {@link #take()}.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more; no multiple of anything
   * @return the batch
   * @throws IllegalArgumentException if it is no slot of this client's log, or is not any more;
   *     nothing is taken
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is taken
   */
  public DirtyBatch<S> takeRange(S slot, long firstPage, long pageCount) {
    Slot only = mapping.toSlot(Objects.requireNonNull(slot, "slot"));
    return take(only, firstPage, pageCount, Long.MAX_VALUE, true);
  }

  private DirtyBatch<S> take(
      @Nullable Slot only, long firstPage, long pageCount, long limit, boolean sync) {
    DirtyBatch<S> batch = new DirtyBatch<>(collector, mapping, new TakenPages(view));
    collector.takes().take(batch.pages(), only, firstPage, pageCount, limit, sync);
    return batch;
  }

  /**
   * Forgets pages whose content no longer matters (a balloon, a freed frame buffer): takes them out
   * of this client's view, and clears them in the tracker, so that only a later write makes them
   * dirty again. Other clients keep what is theirs. Waits for the barrier.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalArgumentException if it is no slot of this client's log, or is not any more;
   *     nothing is changed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalStateException if the client or its log is closed
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are dirty
   *     still then
   */
  public void discard(S slot, long firstPage, long pageCount) {
    Slot of = mapping.toSlot(Objects.requireNonNull(slot, "slot"));
    collector.takes().discard(view, of, firstPage, pageCount);
  }

  /**
   * Marks what this client has just written to guest memory itself, for all other clients: a
   * restore, a rewind, the destination of a migration. The pages become dirty for every other
   * client and stay as they are for this one, which knows what it wrote. A write by the guest or a
   * device to the same pages makes them dirty for this client as ever, whichever came first.
   *
   * <p>Write watches of the slot are told. Call it after the write, and after it has landed, in
   * place of {@link DirtyLog#mark} and of {@link LogVcpu#mark}: those make the pages dirty for this
   * client too. From any thread. Takes the log's lock, so call it for a range, not for each byte.
   *
   * @param slot slot
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if the slot is another log's, or was removed; nothing is
   *     marked
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   * @throws IllegalStateException if the client or its log is closed; nothing is marked
   */
  public void markForOthers(S slot, long byteOffset, long length) {
    Slot of = mapping.toSlot(Objects.requireNonNull(slot, "slot"));
    collector.takes().markForOthers(view, of, byteOffset, length);
    if (length > 0) {
      of.watches().tell(byteOffset, length);
    }
  }

  /** As {@link #markForOthers}; watches are not told. */
  void markForOthersOnly(S slot, long byteOffset, long length) {
    collector.takes().markForOthers(view, mapping.toSlot(slot), byteOffset, length);
  }

  /** {@return how many pages are dirty for this client, as far as the last sync knew} */
  public long dirtyPages() {
    return collector.dirtyPages(view);
  }

  /**
   * Ends the client. Its open batch stays readable and can give nothing back. When the last client
   * ends, tracking stops and costs nothing. A second call does nothing. In the verify mode the last
   * client waits for the barrier, and looks once more for writes that were not reported.
   *
   * @throws IllegalStateException if a device's tracker does it inside a call under the collector
   *     lock; nothing is changed
   * @throws dev.smudge.sync.verify.UnreportedWriteException in the verify mode; it is closed
   */
  @Override
  public void close() {
    try {
      collector.verification().lastLook(view);
    } finally {
      collector.clients().end(view);
    }
  }

  @Override
  public String toString() {
    return view.toString();
  }
}
