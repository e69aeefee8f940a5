package dev.smudge.snapshot;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The content of a slot's pages: an array per page, and none for a page that is all zero and always
 * was. A page is replaced by one store of its array, never changed in place.
 */
class PageTable {
  private static final int BLOCK_SHIFT = 9;
  private static final int BLOCK = 1 << BLOCK_SHIFT;

  private byte[][][] blocks = {};

  /** {@return where a page is in its block} */
  static int index(long page) {
    return (int) page & BLOCK - 1;
  }

  /** {@return the content of a page; null: zeroes} */
  byte @Nullable [] get(long page) {
    long block = page >>> BLOCK_SHIFT;
    byte[][] pages = block < blocks.length ? blocks[(int) block] : null;
    return pages == null ? null : pages[index(page)];
  }

  /**
   * {@return the first page from one on, up to another, that may be no zeroes here; that page
   * itself where this is not known}
   */
  long next(long page, long past) {
    return page;
  }

  /** {@return up to which page, or the other one, that is as known of all as of a first page} */
  long endOfRun(long page, long past) {
    return past;
  }

  /** {@return the block that a page is in, made if there is none} */
  byte[][] block(long page) {
    int block = Math.toIntExact(page >>> BLOCK_SHIFT);
    if (block >= blocks.length) {
      blocks = Arrays.copyOf(blocks, Math.max(block + 1, blocks.length * 2));
    }
    byte[][] pages = blocks[block];
    if (pages == null) {
      pages = new byte[BLOCK][];
      blocks[block] = pages;
    }
    return pages;
  }
}
