package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageWordConsumer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

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

  SlotWatches(long pageCount) {
    this.marks = new LazyHostMarks(pageCount);
  }

  /**
   * {@return whether one of some pages is watched now} A vCPU asks before it marks, and a thread
   * without a vCPU after it too.
   */
  public boolean hold(long firstPage, long lastPage) {
    // ORDER W1 volatile: after the safepoint before this write. Pairs with the watch, and its bits,
    // before the barrier in SlotWatch.clearLive. If weaker (plain): the live bit of a watched page
    // is set, and later writes are not told.
    for (SlotWatch watch : all) {
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
    rethrow(tell(byteOffset, length, null));
  }

  /**
   * Tells the watches of a part of a write.
   *
   * @param before what was thrown for other parts; null: nothing
   * @return what was thrown so far, for {@link #rethrow} when all parts are told
   */
  public @Nullable Throwable tell(long byteOffset, long length, @Nullable Throwable before) {
    Throwable failed = before;
    if (length == 0) {
      return failed;
    }
    for (SlotWatch watch : all) {
      try {
        watch.written(byteOffset, length);
      } catch (Throwable e) { // other languages throw checked ones, too
        failed = also(failed, e);
      }
    }
    return failed;
  }

  /** What is thrown at the end of several steps: the first, with the others suppressed in it. */
  static Throwable also(@Nullable Throwable failed, Throwable next) {
    if (failed == null) {
      return next;
    }
    if (!next.equals(failed)) { // the JVM throws one OutOfMemoryError several times
      failed.addSuppressed(next);
    }
    return failed;
  }

  /** Throws what {@link #tell(long, long, Throwable)} has returned, if it is not null. */
  public static void rethrow(@Nullable Throwable failed) {
    if (failed != null) {
      SlotWatches.<RuntimeException>rethrowAs(failed);
    }
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"}) // whatever it is
  private static <E extends Throwable> void rethrowAs(Throwable failed) throws E {
    throw (E) failed;
  }

  /** Whether there may be marks here. */
  boolean mayBeMarked() {
    return marks.isMade();
  }

  /** Takes out what was marked. Under the collector lock. */
  void drain(PageWordConsumer sink) {
    marks.drain(sink);
  }

  synchronized void add(SlotWatch watch) {
    marks.make(); // not by a guest's store, which may have no stack for it, or no memory
    SlotWatch[] now = all;
    SlotWatch[] more = Arrays.copyOf(now, now.length + 1);
    more[now.length] = watch;
    all = more; // W1
  }

  synchronized void remove(SlotWatch watch) {
    all = Arrays.stream(all).filter(other -> other != watch).toArray(SlotWatch[]::new);
  }
}
