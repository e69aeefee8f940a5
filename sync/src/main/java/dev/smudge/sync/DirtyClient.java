package dev.smudge.sync;

import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.collect.ClientView;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.ExportedPages;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.TakenPages;
import dev.smudge.sync.internal.facade.SlotMapping;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One consumer of dirty pages, with its own view of what is dirty: a migration, a display, a code
 * cache, a snapshot. {@link DirtyLog#client} makes a client that hands out {@link LogSlot}s; {@code
 * GuestMemory.client} makes one that hands out {@code GuestSlot}s, whose {@code pages} are the
 * content.
 *
 * <p>Threads: any, one batch at a time. A batch belongs to no thread, so it stays open if the
 * thread that took it ends. If nobody can close it any more, {@link #fork} the client and close
 * this one: for the fork its pages are dirty.
 *
 * @param <S> the type of slots that it hands out
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

  /**
   * Takes all dirty pages: fetches what is new, clears the pages for this client and in the
   * tracker, and waits for the barrier. After return the batch's pages may be read: every write to
   * them that is not visible then makes its page dirty again.
   *
   * @return the batch; close it. Pages that were not acknowledged are dirty again on close
   * @throws IllegalStateException if the client or its log is closed, or its last batch is still
   *     open; nothing is taken
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are still
   *     dirty
   * @throws dev.smudge.sync.verify.UnreportedWriteException in the verify mode, if a write was not
   *     marked; nothing is taken, and its page is dirty for every client
   */
  public DirtyBatch<S> take() {
    return take(null, 0, 0, Long.MAX_VALUE, true);
  }

  /**
   * Takes the pages that earlier syncs found, without another fetch: for several clients that share
   * one {@link DirtyLog#sync} per round. Otherwise as {@link #take()}.
   *
   * @return the batch
   */
  public DirtyBatch<S> takeSynced() {
    return take(null, 0, 0, Long.MAX_VALUE, false);
  }

  /**
   * Takes at most the given number of dirty pages. It continues where the last such take ended, and
   * starts again at the first slot after the last. So pages are armed in chunks, shortly before
   * they are read. Otherwise as {@link #take()}.
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
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are still
   *     dirty then
   */
  public void discard(S slot, long firstPage, long pageCount) {
    Slot of = mapping.toSlot(Objects.requireNonNull(slot, "slot"));
    collector.takes().discard(view, of, firstPage, pageCount);
  }

  /**
   * Marks, for all other clients, pages that this client itself has just written to guest memory:
   * in a restore, a rewind, at the destination of a migration. The pages become dirty for every
   * other client and stay as they are for this client, which knows what it wrote. A write by the
   * guest or a device to the same pages makes them dirty for this client as usual, whichever write
   * came first.
   *
   * <p>Write watches of the slot are called. Call it after the write has landed, instead of {@link
   * DirtyLog#mark} and {@link LogVcpu#mark}, which make the pages dirty for this client too. From
   * any thread. It takes the log's lock, so call it for a range, not for each byte.
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

  /** Refuses what {@link #markForOthers} would, as things are now. Takes no lock. */
  void checkMayMark(S slot) {
    collector.takes().checkMayMark(view, mapping.toSlot(slot));
  }

  /** As {@link #markForOthers}, without a call of the watches. */
  void markForOthersOnly(S slot, long byteOffset, long length) {
    collector.takes().markForOthers(view, mapping.toSlot(slot), byteOffset, length);
  }

  /**
   * Hands out the pages that are dirty for this client, without taking them: fetches new bits, and
   * hands out all dirty pages as runs, including those of an open batch that are not acknowledged.
   * The pages stay dirty, and none is cleared. Slots come in the order in which they were added,
   * pages ascending.
   *
   * <p>It does not wait for the barrier. So a store that a vCPU has not reported yet may be missing
   * here, and comes with a later call or take; and page content that is read here may be older than
   * in the next take. Cost: a copy of the set of dirty pages.
   *
   * @param consumer gets the runs, without a lock; what it throws comes through
   * @param <E> what it may throw
   * @throws E if the consumer throws it
   * @throws IllegalStateException if the client or its log is closed
   */
  @SuppressWarnings("unchecked") // what it throws is E, as is declared here
  public <E extends Exception> void forEachDirtyRun(RunConsumer<? super S, E> consumer) throws E {
    RunConsumer<? super S, RuntimeException> runs =
        (RunConsumer<? super S, RuntimeException>) Objects.requireNonNull(consumer, "consumer");
    collector
        .takes()
        .look(
            view,
            pages ->
                pages.forEachRun(
                    Long.MAX_VALUE,
                    (slot, first, count) -> runs.accept(mapping.toUser(slot), first, count)));
  }

  /**
   * Starts another client with a copy of this client's view, including the pages of an open batch
   * that are not acknowledged. From here on each has its own view. If you fork right after a take
   * was committed, the dirty pages of the fork are always those written since that take, however
   * often this client takes. Fork once for each state from which you want to know the changes. Does
   * not wait for the barrier, and arms nothing.
   *
   * <pre>
   * backup.take() ... commit() and close
   * DirtyClient&lt;GuestSlot&gt; sinceMonday = backup.fork("since Monday");
   * ...
   * sinceMonday.forEachDirtyRun((slot, first, count) -&gt; ...);  // asks, as often as you like
   * </pre>
   *
   * @param name for messages
   * @return the new client; close it when it is no longer needed, because each costs a set of pages
   * @throws IllegalStateException if the client or its log is closed; there is no new client
   */
  public DirtyClient<S> fork(String name) {
    ClientView fork = new ClientView(Objects.requireNonNull(name, "name"));
    DirtyClient<S> client = new DirtyClient<>(collector, mapping, fork);
    collector.clients().fork(view, fork);
    return client;
  }

  /**
   * Writes the pages that are dirty for this client, as {@link #forEachDirtyRun} hands them out, so
   * that an incremental backup survives the end of the process. {@link #importDirty} reads them.
   * The guest must stand still, or be sealed, from here until its RAM is saved too: a write between
   * the two would be lost.
   *
   * <p>The format has a version, the geometry of the slots and two checksums. It takes a few bytes
   * per run of pages.
   *
   * @param out gets the bytes, and is flushed and not closed
   * @throws IOException if {@code out} throws it
   * @throws IllegalStateException if the client or its log is closed; nothing is written
   */
  public void exportDirty(OutputStream out) throws IOException {
    Objects.requireNonNull(out, "out");
    collector.takes().<IOException>look(view, pages -> ExportedPages.write(pages, out));
  }

  /**
   * Makes the pages dirty for this client that {@link #exportDirty} has written, in this process or
   * an earlier one. Pages that are dirty already stay dirty, so begin with a client that sees no
   * page as dirty ({@link InitialView#NONE_DIRTY}), before the guest runs. Every page of a slot
   * that was added since the export becomes dirty. Other clients are not affected.
   *
   * @param in where the bytes are; nothing is read beyond their end
   * @throws java.io.EOFException if they end too early; nothing is changed
   * @throws java.io.StreamCorruptedException if they are no export, of a version that is not known,
   *     or damaged, and where; nothing is changed
   * @throws IOException if {@code in} throws it; nothing is changed
   * @throws IllegalArgumentException if a slot of the export is not there, or has another number or
   *     size of pages; nothing is changed
   * @throws IllegalStateException if the client or its log is closed; nothing is changed
   */
  public void importDirty(InputStream in) throws IOException {
    collector.takes().add(view, Objects.requireNonNull(in, "in"));
  }

  /** {@return how many pages are dirty for this client, as of the last sync} */
  public long dirtyPages() {
    return collector.dirtyPages(view);
  }

  /**
   * Ends the client. Its open batch stays readable, but its close makes no page dirty again. When
   * the last client ends, tracking stops and costs nothing. A second call does nothing. In the
   * verify mode the close of the last client waits for the barrier, and looks once more for writes
   * that were not reported.
   *
   * @throws IllegalStateException if a device's tracker does it inside a call under the collector
   *     lock; nothing is changed
   * @throws dev.smudge.sync.verify.UnreportedWriteException in the verify mode, if a write was not
   *     marked; the client is closed
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
