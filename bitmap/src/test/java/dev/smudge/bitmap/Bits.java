package dev.smudge.bitmap;

/** Looks at bitmaps, and marks single pages. */
final class Bits {
  private Bits() {}

  /** Returns whether this changed the bit. */
  static boolean mark(LiveBitmap bitmap, long page) {
    return bitmap.markRange(page, 1) != 0;
  }

  /** The bits that are set. */
  static PageSet of(ArmableBitmap bitmap) {
    PageSet set = new PageSet(bitmap.pageCount());
    for (long page = 0; page < bitmap.pageCount(); page++) {
      if (bitmap.isMarked(page)) {
        set.add((int) (page >>> 6), 1L << page);
      }
    }
    return set;
  }

  static boolean contains(PageSet set, long page) {
    return (set.word((int) (page >>> 6)) >>> page & 1) != 0;
  }
}
