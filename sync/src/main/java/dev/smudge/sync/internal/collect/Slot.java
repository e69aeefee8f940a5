package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A memory slot of a log: its geometry, whether it takes marks, and the parts of it that belong to
 * others: what the tracker has told ({@link FetchedBits}), what the clients are told ({@link
 * SlotViews}), what writers without a vCPU have marked ({@link HostMarks}), who watches it ({@link
 * SlotWatches}).
 */
public final class Slot {
  private static final int NEW = 0;
  private static final int CURRENT = 1; // also while it is about to leave
  private static final int RETIRED = 2;

  private final SlotTable table;
  private final int id;
  private final int entryId;
  private final long pageCount;
  private final int pageShift;
  private final SlotViews views;
  private final SlotWatches watches;
  private final Object identity;

  private @Nullable Object attachment;
  private @Nullable FetchedBits fetched;
  private @Nullable HostMarks hostMarks;
  private volatile int state = NEW;

  Slot(
      SlotTable table,
      int id,
      int entryId,
      long pageCount,
      long pageSize,
      Function<Slot, Object> identity) {
    this.table = table;
    this.id = id;
    this.entryId = entryId;
    this.pageCount = pageCount;
    this.pageShift = Long.numberOfTrailingZeros(pageSize);
    this.views = new SlotViews(pageCount);
    this.watches = new SlotWatches(pageCount);
    this.identity = identity.apply(this);
  }

  /** {@return its number} */
  public int id() {
    return id;
  }

  /** {@return its number in entries of software rings} */
  public int entryId() {
    return entryId;
  }

  /** {@return pages} */
  public long pageCount() {
    return pageCount;
  }

  /** {@return log2 of the page size} */
  public int pageShift() {
    return pageShift;
  }

  /** {@return page size times page count} */
  public long size() {
    return pageCount << pageShift;
  }

  /** {@return what the API hands out for it} */
  public Object identity() {
    return identity;
  }

  /** {@return what the embedder attached; null if nothing} */
  public @Nullable Object attachment() {
    return attachment;
  }

  /** Attaches something for trackers and clients, before the change that adds the slot begins. */
  public void attach(Object object) {
    if (state != NEW) {
      throw new IllegalStateException(this + " was added already: attach before the commit");
    }
    attachment = object;
  }

  /** Has the log's tracker prepare its part. */
  void prepare(Tracker tracker) {
    fetched = newPart(tracker);
  }

  /** Has a tracker prepare a part of this slot. */
  FetchedBits newPart(Tracker tracker) {
    TrackedSlot slot = tracked();
    PageSet told = new PageSet(pageCount); // first: the tracker's part may have to be closed
    return new FetchedBits(newPart(tracker, slot), told);
  }

  /** Refuses what is no part before anything depends on it. */
  static SlotTracker newPart(Tracker tracker, TrackedSlot slot) {
    SlotTracker part = tracker.newSlot(slot);
    if (part == null) {
      throw new IllegalStateException("newSlot of " + tracker + " returned null for " + slot);
    }
    return part;
  }

  /** {@return what trackers are told of it} */
  TrackedSlot tracked() {
    return new TrackedSlot(id, entryId, pageCount, 1L << pageShift, attachment);
  }

  /** The change that adds it was given up. */
  void giveUp() {
    FetchedBits prepared = fetched;
    if (prepared != null) {
      prepared.part().close();
      fetched = null;
    }
  }

  /** {@return its part in the log's tracker} */
  public FetchedBits fetched() {
    return Objects.requireNonNull(fetched);
  }

  SlotViews views() {
    return views;
  }

  /** {@return its write watches, and what is marked while it is watched} */
  public SlotWatches watches() {
    return watches;
  }

  /** Says where marks of writers without a vCPU go, before anybody can mark. */
  public void hostMarks(HostMarks marks) {
    hostMarks = marks;
  }

  /** {@return where marks of writers without a vCPU go} */
  public HostMarks hostMarks() {
    return Objects.requireNonNull(hostMarks);
  }

  void added() {
    // T1 for whoever has the slot without the table: its bitmap and views before it takes marks.
    state = CURRENT;
  }

  /** It was not added after all. */
  void notAdded() {
    state = NEW;
  }

  void retire() {
    // ORDER T2 volatile: refuses marks before the last drain of the host's bitmap. Pairs with the
    // look in checkTakesMarks, by HostWriter.mark after the mark. If weaker: a mark is neither
    // drained nor refused.
    state = RETIRED;
  }

  /** Refuses a slot of another log. */
  public void checkOf(SlotTable owner) {
    if (table != owner) {
      throw new IllegalArgumentException(this + " is not of this log; its slots: " + owner.ids());
    }
  }

  /** Looked at before a mark by a vCPU, and after a mark too by a thread without one (T2). */
  public void checkTakesMarks(SlotTable owner) {
    checkOf(owner);
    // T1, T2.
    int now = state;
    if (now != CURRENT) {
      throw new IllegalArgumentException(
          this
              + (now == NEW
                  ? " is not added yet: commit the change first"
                  : " was removed, and nothing may write to it any more; slots: " + owner.ids()));
    }
  }

  /** Refuses a range of bytes that is not inside; returns whether it has none. */
  public boolean isNothing(long byteOffset, long length) {
    long size = size();
    if (byteOffset < 0 || length < 0 || byteOffset > size || length > size - byteOffset) {
      throw new IndexOutOfBoundsException(
          "offset "
              + byteOffset
              + " and length "
              + length
              + " are not inside slot "
              + id
              + " of size "
              + size);
    }
    return length == 0;
  }

  /** Refuses a range of pages that is not inside. Compares without adding. */
  public void checkRange(long firstPage, long count) {
    if (firstPage < 0 || firstPage > pageCount || count < 0 || count > pageCount - firstPage) {
      throw new IndexOutOfBoundsException(
          "pages "
              + firstPage
              + " and the "
              + count
              + " from there on are not all inside slot "
              + id
              + " of "
              + pageCount
              + " pages");
    }
  }

  @Override
  public String toString() {
    return "LogSlot[" + id + ", " + pageCount + " pages of " + (1L << pageShift) + "]";
  }
}
