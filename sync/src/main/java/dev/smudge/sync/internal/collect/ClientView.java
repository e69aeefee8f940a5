package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** What is dirty for one client. Under the collector lock, but for {@link #checkOpen}. */
public final class ClientView {
  /** Of one slot. */
  private static final class Part {
    final PageSet view;
    @Nullable PageSet spare; // empty, for the next batch

    Part(long pageCount) {
      this.view = new PageSet(pageCount);
    }
  }

  private final String name;
  private final boolean takes;
  private final Map<Slot, Part> parts = new HashMap<>();
  private int cursorSlot; // where the last limited take ended
  private long cursorPage;
  private @Nullable TakenPages open;
  private @Nullable TakenPages aside; // discards that are under way
  private volatile boolean closed; // set under the lock
  private boolean abandoned; // its start has failed: nobody has it

  /** Makes one that knows no slot. */
  public ClientView(String name) {
    this(name, true);
  }

  private ClientView(String name, boolean takes) {
    this.name = name;
    this.takes = takes;
  }

  /** Makes that of {@link WatchClient}. */
  static ClientView ofWatches() {
    return new ClientView("write watches", false);
  }

  /** Whether it is a client that takes pages: then what is dirty for it is dirty for somebody. */
  boolean takes() {
    return takes;
  }

  /** {@return its name, for messages} */
  public String name() {
    return name;
  }

  PageSet of(Slot slot) {
    Part part = parts.get(slot);
    if (part == null) {
      throw new IllegalStateException(
          "client '"
              + name
              + "' was closed meanwhile, by a tracker or another call inside this one");
    }
    return part.view;
  }

  PageSet add(Slot slot) {
    Part part = new Part(slot.pageCount());
    parts.put(slot, part);
    return part.view;
  }

  void drop(Slot slot) {
    parts.remove(slot);
  }

  /** It knows no page any more. */
  void addAll() {
    parts.values().forEach(part -> part.view.addAll());
  }

  /** Every page is dirty, and no set that may be wrong is used again: a stack has ended in one. */
  void doubt() {
    addAll();
    parts.values().forEach(part -> part.spare = null);
  }

  long size() {
    return parts.values().stream().mapToLong(part -> part.view.size()).sum();
  }

  /** An empty set for a batch. */
  PageSet takeSpare(Slot slot) {
    Part part = Objects.requireNonNull(parts.get(slot));
    PageSet spare = part.spare;
    part.spare = null;
    return spare == null ? new PageSet(slot.pageCount()) : spare;
  }

  /** Pages of a slot, or of what has come of it, are dirty. */
  void addRange(Slot slot, long firstPage, long pageCount) {
    LeavingSlot leaving = slot.views().leaving();
    if (leaving == null) {
      of(slot).addRange(firstPage, pageCount);
    } else {
      leaving.carry(firstPage, pageCount, this);
    }
  }

  /**
   * Pages come back from a batch, whose set is empty after that, and used again unless the batch
   * was cut short.
   */
  void giveBack(Slot slot, PageSet pages, boolean failed) {
    Part part = Objects.requireNonNull(parts.get(slot));
    part.view.addAll(pages); // first: until it has returned, they are in the batch still
    pages.clear();
    part.spare = failed ? null : pages;
  }

  boolean isClosed() {
    return closed;
  }

  void abandon() {
    abandoned = true;
  }

  boolean isAbandoned() {
    return abandoned;
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("client '" + name + "' is closed");
    }
  }

  void checkHasNoOpenBatch() {
    if (open != null) {
      throw new IllegalStateException(
          "client '"
              + name
              + "' has an open batch of "
              + open.pageCount()
              + " pages: close it first; or, if nobody has it any more, fork the client, for which"
              + " the pages of the batch are dirty, and close this one");
    }
  }

  void open(TakenPages batch) {
    open = batch;
  }

  /** Another batch beside the open one. */
  void setAside(TakenPages batch) {
    batch.next = aside;
    aside = batch;
  }

  /** Whether a batch may give back: not if the client was closed meanwhile. */
  @SuppressWarnings("ReferenceEquality")
  boolean has(TakenPages batch) {
    if (open == batch) {
      return true;
    }
    for (TakenPages other = aside; other != null; other = other.next) {
      if (other == batch) {
        return true;
      }
    }
    return false;
  }

  /** A batch that was cut short, and holds pages that nobody else has; null if there is none. */
  @Nullable TakenPages failed() {
    TakenPages batch = open;
    if (batch != null && batch.failed) {
      return batch;
    }
    for (batch = aside; batch != null; batch = batch.next) {
      if (batch.failed) {
        return batch;
      }
    }
    return null;
  }

  /** A batch has given back. */
  @SuppressWarnings("ReferenceEquality")
  void forget(TakenPages batch) {
    if (open == batch) {
      open = null;
    }
    if (aside == batch) {
      aside = batch.next;
      return;
    }
    for (TakenPages other = aside; other != null; other = other.next) {
      if (other.next == batch) {
        other.next = batch.next;
        return;
      }
    }
  }

  /**
   * Adds all that is dirty for it to other sets, by slot: also what its batches hold and have not
   * acknowledged. The sets of all {@code slots} are asked for, in their order.
   */
  void copyInto(Slot[] slots, Function<Slot, PageSet> sets) {
    for (Slot slot : slots) {
      sets.apply(slot).addAll(of(slot));
    }
    if (open != null) {
      open.copyInto(sets);
    }
    for (TakenPages batch = aside; batch != null; batch = batch.next) {
      batch.copyInto(sets);
    }
  }

  void close() {
    closed = true;
    open = null;
    aside = null;
    parts.clear();
  }

  // From the view into a batch.

  long moveRange(TakenPages batch, Slot slot, long first, long count, long limit) {
    PageSet view = of(slot);
    return view.isEmpty() ? 0 : view.moveRange(first, count, limit, batch.of(slot));
  }

  /** From where the last limited take ended to the end of memory, then from its start. */
  void moveFromCursor(TakenPages batch, Slot[] slots, long limit) {
    if (slots.length == 0) {
      return;
    }
    long left = limit;
    int start = cursorSlot < slots.length ? cursorSlot : 0;
    for (int i = 0; i <= slots.length && left > 0; i++) {
      int at = (start + i) % slots.length;
      Slot slot = slots[at];
      long cursor = Math.min(cursorPage, slot.pageCount());
      long first = i == 0 ? cursor : 0;
      long end = i == slots.length ? cursor : slot.pageCount();
      left -= moveRange(batch, slot, first, end - first, left);
      if (left == 0) {
        cursorSlot = at;
        cursorPage = batch.of(slot).floor(end - 1) + 1;
      }
    }
  }

  @Override
  public String toString() {
    return "DirtyClient[" + name + (closed ? ", closed]" : "]");
  }
}
