package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A {@link DirtySource} that was added to a log ({@link DirtyLog#addSource}). It has a cached
 * bitmap a slot of its own: what this source has told of and was not cleared there since. Were
 * there none, a client could clear by its old copy what the source has told of again (catalogue 3).
 */
public final class SourceRegistration implements AutoCloseable {
  private final DirtyLog log;
  final DirtySource source;
  final int priority;
  private final AtomicBoolean closed = new AtomicBoolean();

  // Under the collector lock.
  private final Map<LogSlot, PageSet> cached = new LinkedHashMap<>(); // of the slots that it logs
  private final Set<LogSlot> unlogged = new HashSet<>(); // may be written and are not logged
  private final List<LogSlot> held = new ArrayList<>(); // removed, and not free before it has left
  private boolean started;
  private boolean leaving;

  SourceRegistration(DirtyLog log, int priority, DirtySource source) {
    this.log = log;
    this.priority = priority;
    this.source = source;
  }

  /** {@return whether {@link #close} was called, by whomever; nothing is called any more then} */
  public boolean isClosed() {
    return closed.get(); // M1
  }

  /**
   * Removes the source. Never waits; legal from any thread, also in a read-side section, in one of
   * the source's own methods and while another thread is in one. What begins after return does not
   * call it. After the grace period a task of {@link Rcu#callRcu} calls {@link DirtySource#detach},
   * takes what it has still to tell, stops its log and calls {@link DirtySource#close}. A slot that
   * is removed meanwhile is released after that. A second call does nothing.
   */
  @Override
  public void close() {
    log.sources().close(this);
  }

  /** Returns whether it was open. */
  boolean markClosed() {
    // ORDER M1 volatile: closed before the grace period begins. Pairs with the looks right before
    // each call, in a section. If weaker: a call begins after the grace period, and after close().
    return closed.compareAndSet(false, true);
  }

  void startLog() {
    source.startLog();
    started = true;
  }

  void logStart(LogSlot slot) {
    if (isClosed() || !started) {
      unlogged.add(slot);
      return;
    }
    cached.put(slot, new PageSet(slot.pageCount()));
    if (!log.sources().attempt(() -> source.logStart(slot))) {
      unlogged.add(slot);
    }
  }

  /** A client has started while others may write to a slot that is leaving. */
  void unlogged(LogSlot slot) {
    unlogged.add(slot);
  }

  /** The slot will not be there after all. */
  void undoStart(LogSlot slot) {
    unlogged.remove(slot);
    if (cached.remove(slot) != null && !isClosed()) {
      log.sources().attempt(() -> source.logStop(slot));
    }
  }

  /** While it is open, and once more by the task in which it leaves. */
  private boolean isCalled() {
    return !isClosed() || leaving;
  }

  void stopLog() {
    if (!isCalled() || !started) {
      return; // stopped when it leaves
    }
    for (LogSlot slot : List.copyOf(cached.keySet())) {
      log.sources().attempt(() -> source.logStop(slot));
    }
    cached.clear();
    unlogged.clear();
    started = false;
    log.sources().attempt(source::stopLog);
  }

  void sync(LogSlot slot) {
    if (!isCalled()) {
      return;
    }
    if (unlogged.contains(slot)) {
      DirtyLog.addAllToViews(slot);
    }
    PageSet told = cached.get(slot);
    if (told == null) {
      return;
    }
    log.sources()
        .attempt(() ->
            source.logSync(
                slot,
                (wordIndex, bits) -> {
                  log.sources().checkCalling();
                  // What is in the cache already is in every view.
                  long news = told.add(wordIndex, bits);
                  if (news != 0) {
                    DirtyLog.addToViews(slot, wordIndex, news);
                  }
                }));
  }

  void clear(LogSlot slot) {
    PageSet told = cached.get(slot);
    if (told != null) {
      clear(slot, told);
    }
  }

  void clear(LogSlot slot, PageSet pages) {
    PageSet told = cached.get(slot);
    if (isClosed() || told == null || told.isEmpty()) {
      return;
    }
    ClearBatch batch =
        new ClearBatch(slot, told, (s, first, count, bits) -> clear(s, told, first, count, bits));
    pages.forEachWord(batch);
    batch.flush();
  }

  private void clear(LogSlot slot, PageSet told, long firstPage, long pageCount, long[] bitmap) {
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    boolean done =
        !isClosed()
            && log.sources()
                .attempt(() -> source.logClear(slot, firstPage, pageCount, bitmap.clone()));
    for (int i = 0; i < words; i++) {
      if (bitmap[i] == 0) {
        continue;
      }
      if (done) {
        told.remove(firstWord + i, bitmap[i]);
      } else {
        // Not armed perhaps: in the cache still, so it has to be in every view.
        DirtyLog.addToViews(slot, firstWord + i, bitmap[i]);
      }
    }
  }

  /**
   * The grace period of a slot that was removed is over. What is not armed here may have been
   * written after a client has read it as a page of another slot: told again.
   */
  void retire(LogSlot slot) {
    if (!isCalled()) {
      slot.holders++; // it may write there until it leaves
      held.add(slot);
      return;
    }
    sync(slot);
    tellCached(slot);
    if (cached.remove(slot) != null) {
      log.sources().attempt(() -> source.logStop(slot));
    }
    unlogged.remove(slot);
  }

  private void tellCached(LogSlot slot) {
    PageSet told = cached.get(slot);
    if (told != null) {
      told.forEachWord((wordIndex, bits) -> DirtyLog.addToViews(slot, wordIndex, bits));
    }
  }

  /** It writes no more: its last bits. Returns the slots that may be free now. */
  List<LogSlot> leave() {
    leaving = true;
    Set<LogSlot> all = new HashSet<>(unlogged);
    all.addAll(cached.keySet());
    for (LogSlot slot : all) {
      sync(slot);
      tellCached(slot);
    }
    stopLog();
    held.forEach(slot -> slot.holders--);
    return held;
  }

  @Override
  public String toString() {
    return "SourceRegistration[" + source + (isClosed() ? ", closed]" : "]");
  }
}
