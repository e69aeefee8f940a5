package dev.smudge.sync;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.collect.LazyHostMarks;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.software.SoftwareTracker;
import org.jspecify.annotations.Nullable;

/**
 * A memory slot of a {@link DirtyLog}: made by {@link DirtyLog#addSlot} and {@link SlotChange#add}.
 * Immutable to its users, and usable from any thread.
 *
 * <p>A removed slot accepts marks until every vCPU has passed a safepoint, at which it drops what
 * it keeps of the slot, and every read-side section that was open is over; later marks are refused.
 */
public final class LogSlot {
  final Slot slot;
  private final long size; // here too, as the next: a mark loads no other object for them
  private final int pageShift;

  /** Bit set: a mark would change nothing. Null until the slot is added, and if nobody marks. */
  @Nullable ArmableBitmap live;

  private boolean needsNoMarks; // the tracker finds writes without them

  LogSlot(Slot slot) {
    this.slot = slot;
    this.size = slot.size();
    this.pageShift = slot.pageShift();
  }

  /** The tracker has prepared its part: from here on it can be marked. */
  void prepared(@Nullable SoftwareTracker tracker) {
    if (tracker == null) {
      needsNoMarks = true;
      slot.hostMarks(new LazyHostMarks(slot.pageCount()));
      return;
    }
    ArmableBitmap bitmap = tracker.takeLive(slot);
    live = bitmap;
    slot.hostMarks(tracker.hostMarks(slot, bitmap));
  }

  /** {@return the slot's number, 0 to 32,763} */
  public int id() {
    return slot.id();
  }

  /** {@return the number of pages} */
  public long pageCount() {
    return slot.pageCount();
  }

  /** {@return the size of a page, a power of two, in bytes or in the embedder's own units} */
  public long pageSize() {
    return 1L << pageShift;
  }

  /**
   * {@return whether stores of the log's vCPUs have to be marked; false if the tracker finds them
   * without marks. Writes that a tracker does not see have to be marked in either case; its
   * documentation lists them}
   */
  public boolean needsMarks() {
    return !needsNoMarks;
  }

  /**
   * Returns whether a page is marked, by one load without ordering. If a vCPU has just stored to
   * the page and gets true, it needs no mark for that store, nor for later stores to the page until
   * its next safepoint. Wait-free. Always true if the tracker finds the vCPUs' writes without
   * marks.
   *
   * @param pageIndex page
   * @return true if a mark would change nothing
   * @throws IndexOutOfBoundsException if there is no such page
   */
  public boolean isMarked(long pageIndex) {
    ArmableBitmap bitmap = live;
    return bitmap == null ? needsNoMarks : bitmap.isMarked(pageIndex);
  }

  /** The test of test, then mark; false also of a range outside, or of two pages. */
  boolean isMarked(long byteOffset, long length) {
    ArmableBitmap bitmap = live;
    long last = byteOffset + length - 1;
    int shift = pageShift;
    if (byteOffset < 0 || length < 1 || last >= size || last < 0) {
      return false;
    }
    if (bitmap == null) {
      return needsNoMarks;
    }
    long page = byteOffset >>> shift;
    return page == last >>> shift && bitmap.isMarked(page);
  }

  /** Whether a mark by a vCPU would change something; false of a range that is not inside. */
  boolean hasUnmarked(long byteOffset, long length) {
    ArmableBitmap bitmap = live;
    long size = slot.size();
    if (bitmap == null || byteOffset < 0 || byteOffset > size || length > size - byteOffset) {
      return false;
    }
    int shift = slot.pageShift();
    long last = (byteOffset + length - 1) >> shift; // none of an empty range
    for (long page = byteOffset >>> shift; length > 0 && page <= last; page++) {
      if (!bitmap.isMarked(page)) {
        return true;
      }
    }
    return false;
  }

  @Override
  public String toString() {
    return slot.toString();
  }
}
