package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.HostBitmap;
import dev.smudge.bitmap.PageWordConsumer;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * Marks in a bitmap that the first of them makes: most slots are never written by a device. Where
 * there is no memory for it, every page counts as marked: the device's write has landed.
 */
public final class LazyHostMarks implements HostMarks {
  private static final VarHandle BITMAP;

  static {
    try {
      BITMAP =
          MethodHandles.lookup().findVarHandle(LazyHostMarks.class, "bitmap", HostBitmap.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
    // Where the stack ends in the initializer of a class, that class can never be used again. So it
    // is done here, as a slot is made, and not by a device's first mark.
    new HostBitmap(1).markAlways(0, 1);
  }

  private final long pageCount;
  private volatile @Nullable HostBitmap bitmap;
  private volatile boolean all; // every page was marked

  /** Makes one without a bitmap. */
  public LazyHostMarks(long pageCount) {
    this.pageCount = pageCount;
  }

  /** Makes the bitmap, so that no mark has to. */
  void make() {
    if (bitmap == null) {
      publish(new HostBitmap(pageCount));
    }
  }

  /** Whether there is a bitmap. */
  boolean isMade() {
    return bitmap != null; // H1
  }

  private HostBitmap publish(HostBitmap made) {
    // ORDER H1 volatile: an empty bitmap is published before it is marked. Pairs with the read in
    // drain. If weaker: the collector reads a bitmap whose fields are not there yet.
    HostBitmap other = (HostBitmap) BITMAP.compareAndExchange(this, null, made);
    return other == null ? made : other;
  }

  @Override
  public long mark(long firstPage, long count) {
    HostBitmap marked = bitmap;
    if (marked == null) {
      HostBitmap made;
      try {
        made = new HostBitmap(pageCount);
      } catch (Error e) {
        // ORDER H3 volatile: the device's store before this. Pairs with the read in drain. If
        // weaker: whoever reads the pages after that drain does not see the store.
        all = true;
        if (e instanceof OutOfMemoryError) {
          return 0; // the pages are marked
        }
        throw e; // of the store before this, perhaps, whose RAM has no memory: not to be hidden
      }
      marked = publish(made);
    }
    return marked.markAlways(firstPage, count);
  }

  @Override
  public void drain(PageWordConsumer sink) {
    if (all) { // H3
      all = false;
      boolean told = false;
      try {
        tellAll(sink);
        told = true;
      } finally {
        all |= !told;
      }
    }
    HostBitmap marked = bitmap; // H1
    if (marked != null) {
      marked.drain(sink);
    }
  }

  private void tellAll(PageWordConsumer sink) {
    int last = (int) ((pageCount - 1) >>> 6);
    for (int w = 0; w < last; w++) {
      sink.accept(w, -1L);
    }
    sink.accept(last, -1L >>> -pageCount);
  }
}
