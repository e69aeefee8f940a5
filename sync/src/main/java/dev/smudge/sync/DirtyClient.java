package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One consumer of dirty pages, with its own view of what is dirty: a migration, a display, a code
 * cache, a snapshot.
 *
 * <p>Threads: any, one batch at a time.
 */
public final class DirtyClient implements AutoCloseable {

  private final DirtyLog log;
  private final String name;

  // Under the log's lock.
  private final Map<LogSlot, PageSet> views = new HashMap<>();
  private final Map<LogSlot, PageSet> spares = new HashMap<>(); // empty, for the next batch
  private int cursorSlot;
  private long cursorPage;
  private @Nullable DirtyBatch open;
  private boolean closed;

  DirtyClient(DirtyLog log, String name) {
    this.log = log;
    this.name = name;
  }

  /** {@return the client's name} */
  public String name() {
    return name;
  }

  /** Under the log's lock. */
  PageSet view(LogSlot slot) {
    return Objects.requireNonNull(views.get(slot));
  }

  PageSet addView(LogSlot slot) {
    PageSet view = new PageSet(slot.pageCount());
    views.put(slot, view);
    return view;
  }

  /** It knows no page any more. */
  void addAll() {
    log.lock().lock();
    try {
      views.values().forEach(PageSet::addAll);
    } finally {
      log.lock().unlock();
    }
  }

  void dropView(LogSlot slot) {
    views.remove(slot);
    spares.remove(slot);
  }

  /** An empty set for a batch. Under the log's lock. */
  PageSet spare(LogSlot slot) {
    slot.holders++;
    PageSet spare = spares.remove(slot);
    return spare == null ? new PageSet(slot.pageCount()) : spare;
  }

  /**
   * Takes all dirty pages: syncs, clears them for this client and in the backend, and waits for the
   * barrier. After return the batch's pages may be read: every write to them that is not visible
   * then makes its page dirty again.
   *
   * @return the batch; close it. What it holds and was not acknowledged is dirty again on close
   * @throws IllegalStateException if the client or its log is closed, or its last batch is open
   *     still; nothing is taken
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are dirty
   *     still
   */
  public DirtyBatch take() {
    return take(null, 0, 0, Long.MAX_VALUE, true);
  }

  /**
   * Takes what earlier syncs found, without another fetch: for several clients that share one
   * {@link DirtyLog#sync} a round. Otherwise as {@link #take()}.
   *
   * @return the batch
   */
  public DirtyBatch takeSynced() {
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
  public DirtyBatch takeAtMost(long maxPages) {
    if (maxPages < 1) {
      throw new IllegalArgumentException("maxPages " + maxPages + " is less than 1");
    }
    return take(null, 0, 0, maxPages, true);
  }

  /**
   * Takes the dirty pages of a range. Otherwise as {@link #take()}.
   *
   * @param slotId slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more; no multiple of anything
   * @return the batch
   * @throws IllegalArgumentException if there is no such slot; nothing is taken
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is taken
   */
  public DirtyBatch takeRange(int slotId, long firstPage, long pageCount) {
    return takeRange(log.slot(slotId), firstPage, pageCount);
  }

  /**
   * As {@link #takeRange(int, long, long)}, where slots may be changed meanwhile: of this slot, and
   * of none that has its number later.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more; no multiple of anything
   * @return the batch
   * @throws IllegalArgumentException if it is not a slot of the log, or not any more; nothing is
   *     taken
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is taken
   */
  public DirtyBatch takeRange(LogSlot slot, long firstPage, long pageCount) {
    return take(Objects.requireNonNull(slot, "slot"), firstPage, pageCount, Long.MAX_VALUE, true);
  }

  /** Of one slot, or of all. */
  private DirtyBatch take(
      @Nullable LogSlot only, long firstPage, long pageCount, long limit, boolean sync) {
    DirtyBatch batch = new DirtyBatch(this);
    log.lock().lock();
    try {
      checkOpen();
      if (open != null) {
        throw new IllegalStateException(
            "client '"
                + name
                + "' has an open batch of "
                + open.pageCount()
                + " pages: close it first");
      }
      if (only != null) {
        checkCurrent(only);
        checkRange(only, firstPage, pageCount);
      }
      if (sync) {
        log.fetch();
      }
      open = batch;
      try {
        moveAndClear(batch, only, firstPage, pageCount, limit);
      } catch (RuntimeException | Error e) {
        giveBack(batch);
        throw e;
      }
    } finally {
      log.lock().unlock();
    }
    // Always, also when nothing was cleared: another client may have cleared these pages a moment
    // ago and be waiting for its own barrier (design 3.4).
    long start = System.nanoTime();
    try {
      if (!log.afterSync()) {
        batch.forEachSlot(this::addBack);
      }
    } catch (RuntimeException | Error e) {
      batch.close();
      throw e;
    }
    batch.opened(System.nanoTime() - start);
    return batch;
  }

  /** Under the lock: a change may have given the number to another slot. */
  @SuppressWarnings("ReferenceEquality")
  private void checkCurrent(LogSlot slot) {
    slot.checkOfLog(log);
    if (log.slot(slot.id()) != slot) {
      throw new IllegalArgumentException(slot + " was removed or changed; slots: " + log.slotIds());
    }
  }

  private void moveAndClear(
      DirtyBatch batch, @Nullable LogSlot only, long firstPage, long pageCount, long limit) {
    if (only != null) {
      moveRange(batch, only, firstPage, pageCount, limit);
    } else if (limit == Long.MAX_VALUE) {
      for (LogSlot slot : log.usedSlots()) {
        moveRange(batch, slot, 0, slot.pageCount(), limit);
      }
    } else {
      moveFromCursor(batch, limit);
    }
    // Cleared slot by slot after all was moved: an exception leaves every page in view or batch.
    batch.forEachSlot(log::clearFetched);
    batch.forEachSlot(log.sources()::clear);
  }

  /** From where the last limited take ended to the end of memory, then from its start. */
  private void moveFromCursor(DirtyBatch batch, long limit) {
    LogSlot[] slots = log.usedSlots();
    if (slots.length == 0) {
      return;
    }
    long left = limit;
    int start = cursorSlot < slots.length ? cursorSlot : 0;
    for (int i = 0; i <= slots.length && left > 0; i++) {
      int at = (start + i) % slots.length;
      LogSlot slot = slots[at];
      long cursor = Math.min(cursorPage, slot.pageCount());
      long first = i == 0 ? cursor : 0;
      long end = i == slots.length ? cursor : slot.pageCount();
      left -= moveRange(batch, slot, first, end - first, left);
      if (left == 0) {
        cursorSlot = at;
        cursorPage = batch.pages(slot).floor(end - 1) + 1;
      }
    }
  }

  private long moveRange(DirtyBatch batch, LogSlot slot, long first, long count, long limit) {
    PageSet view = view(slot);
    return view.isEmpty() ? 0 : view.moveRange(first, count, limit, batch.pages(slot));
  }

  void checkOfLog(LogSlot slot) {
    slot.checkOfLog(log);
  }

  void checkRange(int slotId, long firstPage, long pageCount) {
    checkRange(log.slot(slotId), firstPage, pageCount);
  }

  static void checkRange(LogSlot slot, long firstPage, long pageCount) {
    long pages = slot.pageCount();
    if (firstPage < 0 || firstPage > pages || pageCount < 0 || pageCount > pages - firstPage) {
      throw new IndexOutOfBoundsException(
          "pages "
              + firstPage
              + " and the "
              + pageCount
              + " from there on are not all inside slot "
              + slot.id()
              + " of "
              + pages
              + " pages");
    }
  }

  /**
   * Forgets pages whose content no longer matters (a balloon, a freed frame buffer): takes them out
   * of this client's view, and clears them in the backend, so that only a later write makes them
   * dirty again. Other clients keep what is theirs. Waits for the barrier.
   *
   * @param slotId slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalArgumentException if there is no such slot; nothing is changed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalStateException if the client or its log is closed
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are all
   *     dirty then
   */
  public void discard(int slotId, long firstPage, long pageCount) {
    discard(log.slot(slotId), firstPage, pageCount);
  }

  /**
   * As {@link #discard(int, long, long)}, where slots may be changed meanwhile: of this slot, and
   * of none that has its number later.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalArgumentException if it is not a slot of the log, or not any more; nothing is
   *     changed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   * @throws IllegalStateException if the client or its log is closed
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; the pages are all
   *     dirty then
   */
  public void discard(LogSlot slot, long firstPage, long pageCount) {
    log.lock().lock();
    try {
      checkOpen();
      checkCurrent(slot);
      checkRange(slot, firstPage, pageCount);
      log.fetch();
      PageSet gone = new PageSet(slot.pageCount());
      gone.addRange(firstPage, pageCount);
      log.clearFetched(slot, gone); // first: a page out of the view and not armed would be lost
      view(slot).removeRange(firstPage, pageCount);
      log.sources().clear(slot, gone);
    } finally {
      log.lock().unlock();
    }
    try {
      if (!log.afterSync()) {
        addBack(slot, firstPage, pageCount);
      }
    } catch (RuntimeException | Error e) {
      addBack(slot, firstPage, pageCount);
      throw e;
    }
  }

  private void addBack(LogSlot slot, PageSet pages) {
    pages.forEachRun((first, count) -> addBack(slot, first, count));
  }

  private void addBack(LogSlot slot, long firstPage, long pageCount) {
    log.lock().lock();
    try {
      LeavingSlot leaving = slot.leaving;
      if (closed) {
        return;
      }
      if (leaving == null) {
        view(slot).addRange(firstPage, pageCount);
      } else {
        leaving.carry(firstPage, pageCount, this);
      }
    } finally {
      log.lock().unlock();
    }
  }

  /** {@return how many pages are dirty for this client, as far as the last sync knew} */
  public long dirtyPages() {
    log.lock().lock();
    try {
      return views.values().stream().mapToLong(PageSet::size).sum();
    } finally {
      log.lock().unlock();
    }
  }

  /** The batch is done: what it holds still is dirty again for this client. */
  void giveBack(DirtyBatch batch) {
    List<LeavingSlot> left = new ArrayList<>();
    log.lock().lock();
    try {
      boolean givesBack = open == batch; // not if the client was closed
      if (givesBack) {
        open = null;
      }
      batch.forEachSlot((slot, pages) -> {
        slot.holders--;
        LeavingSlot leaving = slot.leaving;
        if (leaving != null) {
          left.add(leaving);
        }
        if (givesBack) {
          giveBack(slot, pages);
        }
      });
    } finally {
      log.lock().unlock();
    }
    left.forEach(slot -> slot.release(log));
  }

  private void giveBack(LogSlot slot, PageSet pages) {
    LeavingSlot leaving = slot.leaving;
    if (leaving == null) {
      view(slot).addAll(pages);
      pages.clear();
      spares.put(slot, pages);
    } else {
      pages.forEachRun((first, count) -> leaving.carry(first, count, this));
    }
  }

  private void checkOpen() {
    log.checkOpen();
    if (closed) {
      throw new IllegalStateException("client '" + name + "' is closed");
    }
  }

  /**
   * Ends the client. Its open batch stays readable and can give nothing back. When the last client
   * ends, tracking stops and costs nothing. A second call does nothing.
   *
   * @throws IllegalStateException if a {@link DirtySource} does it inside a call under the
   *     collector lock; nothing is changed
   */
  @Override
  public void close() {
    log.lock().lock();
    try {
      if (closed) {
        return;
      }
      log.sources().checkNotCalling();
      closed = true;
      open = null;
      views.clear();
      log.remove(this);
    } finally {
      log.lock().unlock();
    }
  }

  @Override
  public String toString() {
    return "DirtyClient[" + name + (closed ? ", closed]" : "]");
  }
}
