package dev.smudge.mmu;

import dev.smudge.linux.IoctlNumber;

/**
 * {@code struct pm_scan_arg} of {@code PAGEMAP_SCAN}, and {@code struct page_region}, of which it
 * fills a vector. The same on x86-64 and aarch64.
 *
 * <pre>
 *  0      8       16      24    32         40       48           56          64
 * +------+-------+-------+-----+----------+--------+------------+-----------+
 * | size | flags | start | end | walk_end | vector | its length | max pages | ...
 * +------+-------+-------+-----+----------+--------+------------+-----------+
 *
 *  64         72     80           88            96
 * +----------+------+------------+-------------+
 * | inverted | mask | any of     | returned    |   categories
 * +----------+------+------------+-------------+
 *
 * page_region   0       8     16           24
 *              +-------+-----+------------+
 *              | start | end | categories |
 *              +-------+-----+------------+
 *
 * all u64; a length in regions
 * </pre>
 *
 * <p>Source: Linux include/uapi/linux/fs.h; fs/proc/task_mmu.c.
 */
final class ScanLayout {
  static final long SIZE = 96;
  static final long SIZE_OFFSET = 0;
  static final long FLAGS_OFFSET = 8;
  static final long START_OFFSET = 16;
  static final long END_OFFSET = 24;
  static final long WALK_END_OFFSET = 32;
  static final long VECTOR_OFFSET = 40;
  static final long VECTOR_LENGTH_OFFSET = 48;
  static final long INVERTED_OFFSET = 64;
  static final long MASK_OFFSET = 72;
  static final long ANY_OF_OFFSET = 80;
  static final long RETURNED_OFFSET = 88;

  static final long REGION_SIZE = 24;

  static final long PAGEMAP_SCAN = IoctlNumber.iowr('f', 16, SIZE);

  /** Protects what it finds. */
  static final long WP_MATCHING = 1;

  /** Fails where pages are not protected asynchronously: else it finds nothing, in silence. */
  static final long CHECK_WPASYNC = 2;

  static final long WRITTEN = 1L << 1;
  static final long PRESENT = 1L << 3;
  static final long SWAPPED = 1L << 4;

  /** The page of zeroes that all untouched memory shares, once it was read. */
  static final long ZERO_PAGE = 1L << 5;

  private ScanLayout() {}
}
