package dev.smudge.sync;

import dev.smudge.bitmap.DirtyBitmap;
import dev.smudge.bitmap.PageSet;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The dirty state of one memory slot. Made by {@link DirtyLog#addSlot} and {@link SlotChange#add};
 * immutable to its users, and usable from any thread.
 *
 * <p>A slot that was removed takes marks until every vCPU has passed a safepoint, in which it drops
 * what it holds of the slot, and every read-side section of then is over; later ones are refused.
 */
public final class LogSlot {
  private static final VarHandle HOST;
  private static final int NEW = 0;
  private static final int CURRENT = 1; // also while it is about to leave
  private static final int RETIRED = 2;

  static {
    try {
      HOST = MethodHandles.lookup().findVarHandle(LogSlot.class, "host", DirtyBitmap.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final DirtyLog log;
  private final int id;
  private final int ringId;
  private final long pageCount;
  private final int pageShift;
  private final long size;

  private @Nullable Object attachment;
  private volatile int state = NEW;

  /** Marked by vCPUs: the software backend's. Bit clear: armed. */
  final DirtyBitmap live;

  /** Marked by threads without a vCPU; made by the first of them. */
  private volatile @Nullable DirtyBitmap host;

  /** Fetched from the backend and not cleared there since. Under the collector lock. */
  final PageSet cached;

  /** New pages from rings, on their way into the views; made by the first. Under the lock. */
  @Nullable PageSet ringNews;

  /** Every client's view of this slot. Under the collector lock. */
  PageSet[] views = new PageSet[0];

  /** The barrier request of the time of the last fetch. Under the collector lock. */
  long lastFetchRequest;

  /** Where its bits go since it was removed. Under the collector lock. */
  @Nullable LeavingSlot leaving;

  /** Batches that have pages of it. Under the collector lock. */
  int holders;

  LogSlot(DirtyLog log, int id, int ringId, long pageCount, long pageSize) {
    this.log = log;
    this.id = id;
    this.ringId = ringId;
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

  /**
   * Its number in the entries of software rings: unlike {@link #id}, not that of a slot that was
   * there a moment ago. The upper half, where KVM has an address space, is never 0.
   */
  int ringId() {
    return ringId;
  }

  /** {@return what the embedder attached, its RAM perhaps; null if nothing} */
  public @Nullable Object attachment() {
    return attachment;
  }

  /**
   * Attaches something of the embedder's, for whoever is handed this slot: clients, a backend.
   * Before the commit of the {@link SlotChange} that adds the slot, which publishes it.
   *
   * @param object what to attach
   * @throws IllegalStateException if the slot was added already; nothing is changed
   */
  public void attach(Object object) {
    if (state != NEW) {
      throw new IllegalStateException(this + " was added already: attach before the commit");
    }
    attachment = object;
  }

  void added() {
    state = CURRENT;
  }

  void retire() {
    // ORDER T2 volatile: refuses marks before the last drain of the host's bitmap. Pairs with the
    // look in checkTakesMarks, after the mark. If weaker: a mark is neither drained nor refused.
    state = RETIRED;
  }

  void checkOfLog(DirtyLog owner) {
    if (log != owner) {
      throw new IllegalArgumentException(
          this + " is not of this log; its slots: " + owner.slotIds());
    }
  }

  /** For a mark of this log: before it by a vCPU, after it too by a thread without one (T2). */
  void checkTakesMarks(DirtyLog owner) {
    checkOfLog(owner);
    int now = state;
    if (now != CURRENT) {
      throw new IllegalArgumentException(
          this
              + (now == NEW
                  ? " is not added yet: commit the change first"
                  : " was removed, and nothing may write to it any more; slots: "
                      + owner.slotIds()));
    }
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

  /** The test of test, then mark (design 3.2); false also of a range outside, or of two pages. */
  boolean isMarked(long byteOffset, long length) {
    long last = byteOffset + length - 1;
    if (byteOffset < 0 || length < 1 || last >= size || last < 0) {
      return false;
    }
    long page = byteOffset >>> pageShift;
    return page == last >>> pageShift && live.isMarked(page);
  }

  /** Test, then mark. Returns how many pages changed from clean to dirty. */
  long markLive(long byteOffset, long length) {
    if (isNothing(byteOffset, length)) {
      return 0;
    }
    long firstPage = byteOffset >>> pageShift;
    return live.markRange(firstPage, lastPage(byteOffset, length) - firstPage + 1);
  }

  /** As {@link #markLive}, reported in a ring. */
  long markLive(VcpuRing ring, long byteOffset, long length) {
    return isNothing(byteOffset, length)
        ? 0
        : ring.mark(this, byteOffset >>> pageShift, lastPage(byteOffset, length));
  }

  /** Mark always (design 3.2). Returns how many pages changed from clean to dirty. */
  long markHost(long byteOffset, long length) {
    if (isNothing(byteOffset, length)) {
      return 0;
    }
    DirtyBitmap bitmap = host;
    if (bitmap == null) {
      bitmap = new DirtyBitmap(pageCount);
      // ORDER H1 volatile: an empty bitmap is published before it is marked. Pairs with hostOrNull.
      // If weaker: the collector reads a bitmap whose fields are not there yet.
      DirtyBitmap other = (DirtyBitmap) HOST.compareAndExchange(this, null, bitmap);
      bitmap = other == null ? bitmap : other;
    }
    long firstPage = byteOffset >>> pageShift;
    return bitmap.markAlways(firstPage, lastPage(byteOffset, length) - firstPage + 1);
  }

  private long lastPage(long byteOffset, long length) {
    return (byteOffset + length - 1) >>> pageShift;
  }

  @Nullable DirtyBitmap hostOrNull() {
    return host;
  }

  /**
   * Refuses what {@link DirtyLogBackend#clearDirtyLog} has to refuse: KVM's rule (Linux
   * 98938aa8edd6, and its mend for tails).
   *
   * @param firstPage first page of the range
   * @param pageCount pages of the range
   * @param bitmap a bit for each
   * @throws IllegalArgumentException if the first page is not a multiple of 64, the count neither
   *     that nor up to the slot's end, the range not inside the slot, or the bitmap too short
   */
  public void checkClearRange(long firstPage, long pageCount, long[] bitmap) {
    // Compares without adding.
    boolean inside =
        firstPage >= 0
            && firstPage <= this.pageCount
            && pageCount >= 0
            && pageCount <= this.pageCount - firstPage;
    if (!inside
        || (firstPage & 63) != 0
        || ((pageCount & 63) != 0 && pageCount != this.pageCount - firstPage)) {
      throw new IllegalArgumentException(
          "cannot clear "
              + pageCount
              + " pages from page "
              + firstPage
              + ": the first must be a multiple of 64 inside slot "
              + id
              + " of "
              + this.pageCount
              + " pages, the count a multiple of 64 or up to the slot's end");
    }
    if (bitmap.length < (pageCount + 63) >>> 6) {
      throw new IllegalArgumentException(
          "a bitmap of " + bitmap.length + " words is too short for " + pageCount + " pages");
    }
  }

  /** Whether a range inside the slot has no bytes; refuses one outside. */
  private boolean isNothing(long byteOffset, long length) {
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

  @Override
  public String toString() {
    return "LogSlot[" + id + ", " + pageCount + " pages of " + pageSize() + "]";
  }
}
