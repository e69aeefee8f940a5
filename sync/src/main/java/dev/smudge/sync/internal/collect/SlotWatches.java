package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageWordConsumer;
import java.util.Arrays;

/**
 * The watches of one slot, and the marks of pages while they are watched.
 *
 * <p>While a page is watched, its live bit stays clear and its marks go here. So no vCPU finds it
 * marked, and each write to it comes to where the watches are looked at. Source: docs/design.md
 * 3.10.
 */
@SuppressWarnings("ReferenceEquality") // watches are compared by identity
public final class SlotWatches {
  private static final SlotWatch[] NONE = new SlotWatch[0];

  private final LazyHostMarks marks;
  private volatile SlotWatch[] all = NONE;
  private volatile boolean used; // there was a watch

  SlotWatches(long pageCount) {
    this.marks = new LazyHostMarks(pageCount);
  }

  /**
   * {@return whether one of some pages is watched now} A vCPU asks before it marks, and a thread
   * without a vCPU after it too.
   */
  public boolean hold(long firstPage, long lastPage) {
    // ORDER W1 volatile: after the safepoint before this write. Pairs with the watch, and its bits,
    // before the barrier in
    // SlotWatch.clearLive. If weaker (plain): the live bit of a watched page
    // is set, and later writes are not told.
    SlotWatch[] now = all;
    for (SlotWatch watch : now) {
      if (watch.holds(firstPage, lastPage)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Marks pages of which one is watched. From any thread.
   *
   * @return how many went from clean to dirty
   */
  public long mark(long firstPage, long count) {
    return marks.mark(firstPage, count);
  }

  /** Tells the watches of a write, which is marked. What they throw comes out last. */
  public void tell(long byteOffset, long length) {
    if (length == 0) {
      return;
    }
    Throwable failed = null;
    for (SlotWatch watch : all) {
      try {
        watch.written(byteOffset, length);
      } catch (RuntimeException | Error e) {
        if (failed == null) {
          failed = e;
        } else if (!e.equals(failed)) { // the JVM throws one OutOfMemoryError several times
          failed.addSuppressed(e);
        }
      }
    }
    if (failed instanceof Error e) {
      throw e;
    } else if (failed instanceof RuntimeException e) {
      throw e;
    }
  }

  /** Whether there may be marks here. */
  boolean mayBeMarked() {
    return used;
  }

  /** Takes out what was marked. Under the collector lock. */
  void drain(PageWordConsumer sink) {
    marks.drain(sink);
  }

  synchronized void add(SlotWatch watch) {
    SlotWatch[] now = all;
    SlotWatch[] more = Arrays.copyOf(now, now.length + 1);
    more[now.length] = watch;
    used = true;
    all = more; // W1
  }

  synchronized void remove(SlotWatch watch) {
    all = Arrays.stream(all).filter(other -> other != watch).toArray(SlotWatch[]::new);
  }
}
