package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.HostBitmap;
import dev.smudge.bitmap.PageWordConsumer;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/** Marks in a bitmap that the first of them makes: most slots are never written by a device. */
public final class LazyHostMarks implements HostMarks {
  private static final VarHandle BITMAP;

  static {
    try {
      BITMAP =
          MethodHandles.lookup().findVarHandle(LazyHostMarks.class, "bitmap", HostBitmap.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final long pageCount;
  private volatile @Nullable HostBitmap bitmap;

  /** Makes one without a bitmap. */
  public LazyHostMarks(long pageCount) {
    this.pageCount = pageCount;
  }

  @Override
  public long mark(long firstPage, long count) {
    HostBitmap marked = bitmap;
    if (marked == null) {
      HostBitmap made = new HostBitmap(pageCount);
      // ORDER H1 volatile: an empty bitmap is published before it is marked. Pairs with the read in
      // drain. If weaker: the collector reads a bitmap whose fields are not there yet.
      HostBitmap other = (HostBitmap) BITMAP.compareAndExchange(this, null, made);
      marked = other == null ? made : other;
    }
    return marked.markAlways(firstPage, count);
  }

  @Override
  public void drain(PageWordConsumer sink) {
    HostBitmap marked = bitmap; // H1
    if (marked != null) {
      marked.drain(sink);
    }
  }
}
