package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.LiveBitmap;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteListener;
import dev.smudge.sync.watch.WriteWatch;
import java.util.Objects;

/**
 * A watch of one slot: of pages that are armed one by one, or of a range of bytes.
 *
 * <p><b>How pages come to be watched.</b> First the watch says that it holds them. Then a barrier:
 * a vCPU that looked before that, and sets their live bits, has done so by now. Then their live
 * bits are cleared, as by a discard of a client that nobody sees, with a barrier after it: from
 * here on no vCPU relies on a live bit of theirs, and nobody sets one. The pages were told to every
 * client before they were cleared. Source: docs/design.md 3.10.
 */
public abstract sealed class SlotWatch implements WriteWatch {
  private final Collector collector;
  private final WatchClient client;
  final Slot slot;
  private final long base; // of what the listener is told
  private final WriteListener listener;
  private final ThreadLocal<boolean[]> calling = ThreadLocal.withInitial(() -> new boolean[1]);
  private volatile boolean closed; // orders nothing: a call that has begun goes on

  private SlotWatch(Collector collector, Slot slot, long base, WriteListener listener) {
    this.collector = collector;
    this.client = collector.watchClient();
    this.slot = slot;
    this.base = base;
    this.listener = Objects.requireNonNull(listener, "listener");
  }

  /**
   * Watches pages of a slot, none at first. {@code base} is added to offsets for the listener, and
   * taken from what is armed.
   */
  public static PageWatch ofPages(
      Collector collector, Slot slot, long base, WriteListener listener) {
    checkCanWatch(collector, slot);
    Pages watch = new Pages(collector, slot, base, listener);
    watch.open();
    return watch;
  }

  /** Watches bytes of a slot. */
  public static WriteWatch ofBytes(
      Collector collector, Slot slot, long base, long at, long length, WriteListener listener) {
    checkCanWatch(collector, slot);
    if (slot.isNothing(at - base, length)) {
      throw new IllegalArgumentException("a watch of 0 bytes: it needs at least 1");
    }
    Bytes watch = new Bytes(collector, slot, base, at - base, length, listener);
    boolean done = false;
    try {
      watch.open();
      watch.clearLive(watch.first, watch.last);
      done = true;
    } finally {
      if (!done) {
        watch.end();
      }
    }
    return watch;
  }

  private static void checkCanWatch(Collector collector, Slot slot) {
    collector.checkNotLocked("a new watch");
    if (collector.findsWithoutMarks()) {
      throw new UnsupportedOperationException(
          collector.tracker()
              + " finds writes at a take, when the writer has long gone on, so no listener can be"
              + " called at a write: take the pages with a client, or use a tracker with marks");
    }
    slot.checkTakesMarks(collector.slots());
  }

  /** Whether one of some pages is watched now. */
  abstract boolean holds(long firstPage, long lastPage);

  /** Tells the listener of a write, if it is one to watched memory. */
  abstract void written(long byteOffset, long length);

  /** Calls the listener, unless the calling thread is in it. */
  final boolean call(long byteOffset, long length) {
    boolean[] inside = calling.get();
    if (closed || inside[0]) {
      return false;
    }
    try {
      inside[0] = true;
      listener.written(base + byteOffset, length);
    } finally {
      inside[0] = false;
    }
    return true;
  }

  final void open() {
    boolean done = false;
    try {
      client.open(this);
      slot.watches().add(this);
      done = true;
    } finally {
      if (!done) {
        end();
      }
    }
  }

  @Override
  public void close() {
    collector.checkNotLocked(this);
    end();
  }

  final void end() {
    closed = true;
    boolean done = false;
    try {
      detach();
      client.close(this);
      done = true;
    } finally {
      if (!done) {
        client.closeCutShort = true; // volatile: before the next settle; calls nothing
      }
    }
  }

  final boolean isClosed() {
    return closed;
  }

  /** No write comes here any more. */
  final void detach() {
    slot.watches().remove(this);
  }

  @Override
  public boolean isEnded() {
    return closed || !collector.isCurrent(slot);
  }

  /** Clears the live bits of pages that the watch now holds; they stay clear. */
  final void clearLive(long firstPage, long lastPage) {
    // W1: whoever marks after this barrier sees that the pages are held.
    collector.tracker().afterSync();
    collector.takes().discard(client.view(), slot, firstPage, lastPage - firstPage + 1);
  }

  final void checkOpen() {
    collector.checkNotLocked(this);
    if (isEnded()) {
      throw new IllegalStateException(
          this + (closed ? " was closed" : " has ended with its slot: make one of the new slot"));
    }
  }

  final long offset(long at) {
    return at - base;
  }

  private static final class Pages extends SlotWatch implements PageWatch {
    private final LiveBitmap armed; // a bit that is set: the page is armed

    // Under this.
    private long armings; // begins and ends of arm so far
    private int arming; // that are under way

    Pages(Collector collector, Slot slot, long base, WriteListener listener) {
      super(collector, slot, base, listener);
      this.armed = new LiveBitmap(slot.pageCount());
    }

    @Override
    boolean holds(long firstPage, long lastPage) {
      for (long page = firstPage; page <= lastPage; page++) {
        if (armed.isMarked(page)) {
          return true;
        }
      }
      return false;
    }

    @Override
    void written(long byteOffset, long length) {
      long first = byteOffset >>> slot.pageShift();
      long last = (byteOffset + length - 1) >>> slot.pageShift();
      if (!holds(first, last)) {
        return;
      }
      long before;
      synchronized (this) {
        before = armings;
      }
      if (call(byteOffset, length)) {
        disarm(first, last, before);
      }
    }

    /** Not if another thread has armed pages since, which may not have seen the write. */
    private synchronized void disarm(long first, long last, long before) {
      if (arming == 0 && armings == before) {
        armed.clear(first, last - first + 1);
      }
    }

    @Override
    public void arm(long at, long length) {
      long offset = offset(at);
      boolean nothing = slot.isNothing(offset, length);
      checkOpen();
      if (nothing) {
        return;
      }
      long first = offset >>> slot.pageShift();
      long last = (offset + length - 1) >>> slot.pageShift();
      boolean begun = false;
      try {
        synchronized (this) {
          arming++;
          begun = true;
          armings++;
          armed.markRange(first, last - first + 1);
        }
        clearLive(first, last);
      } catch (IllegalArgumentException e) {
        checkOpen(); // the slot was removed meanwhile
        throw e;
      } finally {
        if (begun) {
          synchronized (this) {
            armings++; // a listener that was called meanwhile and returns later does not disarm
            arming--; // if even this is cut short, pages stay armed for good: told too often
          }
        }
      }
    }

    @Override
    public String toString() {
      return "PageWatch[slot " + slot.id() + "]";
    }
  }

  private static final class Bytes extends SlotWatch {
    private final long start;
    private final long end;
    final long first;
    final long last;

    Bytes(
        Collector collector,
        Slot slot,
        long base,
        long start,
        long length,
        WriteListener listener) {
      super(collector, slot, base, listener);
      this.start = start;
      this.end = start + length;
      this.first = start >>> slot.pageShift();
      this.last = (end - 1) >>> slot.pageShift();
    }

    @Override
    boolean holds(long firstPage, long lastPage) {
      return firstPage <= last && lastPage >= first;
    }

    @Override
    void written(long byteOffset, long length) {
      if (byteOffset < end && byteOffset + length > start) {
        call(byteOffset, length);
      }
    }

    @Override
    public String toString() {
      return "WriteWatch[slot "
          + slot.id()
          + ", offset "
          + start
          + ", length "
          + (end - start)
          + "]";
    }
  }
}
