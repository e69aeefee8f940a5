package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.ArmableBitmap;

/** What a slot may be: its number, and the number and size of its pages. */
public final class SlotLimits {
  /** As KVM: KVM_USER_MEM_SLOTS. Numbers are 0 to this, exclusive. */
  public static final int MAX_SLOTS = 32_764;

  private static final long MAX_PAGE_SIZE = 1L << 30;

  private SlotLimits() {}

  /** Refuses a number that no slot can have. */
  public static void checkId(int slotId) {
    if (slotId < 0 || slotId >= MAX_SLOTS) {
      throw new IllegalArgumentException("slot " + slotId + " is outside 0 to " + (MAX_SLOTS - 1));
    }
  }

  /** Refuses a page size that is no power of two, or outside the least and the largest. */
  public static void checkPageSize(long pageSize, long least) {
    if (pageSize < least || pageSize > MAX_PAGE_SIZE || Long.bitCount(pageSize) != 1) {
      throw new IllegalArgumentException(
          "page size "
              + pageSize
              + " is not a power of two from "
              + least
              + " to "
              + MAX_PAGE_SIZE);
    }
  }

  /** Refuses pages that are too many, or of a wrong size. */
  static void checkPages(long pageCount, long pageSize) {
    if (pageCount < 1 || pageCount > ArmableBitmap.MAX_PAGES) {
      throw new IllegalArgumentException(
          "pageCount " + pageCount + " is outside 1 to " + ArmableBitmap.MAX_PAGES);
    }
    checkPageSize(pageSize, 1);
    if (pageCount > Long.MAX_VALUE / pageSize) {
      throw new IllegalArgumentException(
          pageCount + " pages of " + pageSize + " are more than 2^63 in all");
    }
  }
}
