package dev.smudge.sync;

import dev.smudge.bitmap.DirtyBitmap;
import dev.smudge.bitmap.PageSet;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The dirty state of one memory slot. Made by {@link DirtyLog#addSlot}; immutable to its users, and
 * usable from any thread.
 */
public final class LogSlot {
  private static final VarHandle HOST;

  static {
    try {
      HOST = MethodHandles.lookup().findVarHandle(LogSlot.class, "host", DirtyBitmap.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final int id;
  private final long pageCount;
  private final int pageShift;
  private final long size;

  /** Marked by vCPUs: the software backend's. Bit clear: armed. */
  final DirtyBitmap live;

  /** Marked by threads without a vCPU; made by the first of them. */
  private volatile @Nullable DirtyBitmap host;

  /** Fetched from the backend and not cleared there since. Under the collector lock. */
  final PageSet cached;

  /** Every client's view of this slot. Under the collector lock. */
  PageSet[] views = new PageSet[0];

  /** The barrier request of the time of the last fetch. Under the collector lock. */
  long lastFetchRequest;

  LogSlot(int id, long pageCount, long pageSize) {
    this.id = id;
    this.pageCount = pageCount;
    this.pageShift = Long.numberOfTrailingZeros(pageSize);
    this.size = pageCount << pageShift;
    this.live = new DirtyBitmap(pageCount);
    this.cached = new PageSet(pageCount);
  }

  /** {@return the slot's number} */
  public int id() {
    return id;
  }

  /** {@return the number of pages} */
  public long pageCount() {
    return pageCount;
  }

  /** {@return the size of a page, a power of two, in bytes or in the embedder's own units} */
  public long pageSize() {
    return 1L << pageShift;
  }

  /** {@return log2 of the page size} */
  public int pageShift() {
    return pageShift;
  }

  /** {@return page size times page count} */
  public long size() {
    return size;
  }

  /**
   * Returns whether a page was marked when last looked at. A vCPU that has just stored to it, and
   * gets true, needs no mark for that store, nor for others to the page until its next safepoint.
   *
   * @param pageIndex page
   * @return true if a mark would change nothing
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public boolean isMarked(long pageIndex) {
    return live.isMarked(pageIndex);
  }

  /** Test, then mark (design 3.2). Returns whether a page changed from clean to dirty. */
  boolean markLive(long byteOffset, long length) {
    long last = byteOffset + length - 1;
    if (byteOffset < 0 || length < 1 || last >= size || last < 0) {
      return checkEmpty(byteOffset, length);
    }
    long firstPage = byteOffset >>> pageShift;
    long lastPage = last >>> pageShift;
    if (firstPage == lastPage) {
      return live.mark(firstPage);
    }
    return live.markRange(firstPage, lastPage - firstPage + 1) != 0;
  }

  /** Mark always (design 3.2). */
  void markHost(long byteOffset, long length) {
    long last = byteOffset + length - 1;
    if (byteOffset < 0 || length < 1 || last >= size || last < 0) {
      checkEmpty(byteOffset, length);
      return;
    }
    long firstPage = byteOffset >>> pageShift;
    DirtyBitmap bitmap = host;
    if (bitmap == null) {
      bitmap = new DirtyBitmap(pageCount);
      // ORDER H1 volatile: an empty bitmap is published before it is marked. Pairs with hostOrNull.
      // If weaker: the collector reads a bitmap whose fields are not there yet.
      DirtyBitmap other = (DirtyBitmap) HOST.compareAndExchange(this, null, bitmap);
      bitmap = other == null ? bitmap : other;
    }
    bitmap.markAlways(firstPage, (last >>> pageShift) - firstPage + 1);
  }

  @Nullable DirtyBitmap hostOrNull() {
    return host;
  }

  private boolean checkEmpty(long byteOffset, long length) {
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
    return false;
  }

  @Override
  public String toString() {
    return "LogSlot[" + id + ", " + pageCount + " pages of " + pageSize() + "]";
  }
}
