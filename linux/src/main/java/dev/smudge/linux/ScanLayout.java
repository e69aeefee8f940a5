package dev.smudge.linux;

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
public final class ScanLayout {

  /** Size of the argument. */
  public static final long SIZE = 96;

  /** Offset of the size of the record, a u64. */
  public static final long SIZE_OFFSET = 0;

  /** Where the flags are. */
  public static final long FLAGS_OFFSET = 8;

  /** Where the address of the first page is. */
  public static final long START_OFFSET = 16;

  /** Where the address behind the last page is. */
  public static final long END_OFFSET = 24;

  /** Where the kernel puts the address up to which it came. */
  public static final long WALK_END_OFFSET = 32;

  /** Where the address of the vector is. */
  public static final long VECTOR_OFFSET = 40;

  /** Where the length of the vector is. */
  public static final long VECTOR_LENGTH_OFFSET = 48;

  /** Where the categories are of which the masks ask for the opposite. */
  public static final long INVERTED_OFFSET = 64;

  /** Where the categories are that a page has to have, all of them. */
  public static final long MASK_OFFSET = 72;

  /** Where the categories are of which a page has to have one. */
  public static final long ANY_OF_OFFSET = 80;

  /** Where the categories are that are handed out. */
  public static final long RETURNED_OFFSET = 88;

  /** Size of an element of the vector. */
  public static final long REGION_SIZE = 24;

  /** The number of the request. */
  public static final long PAGEMAP_SCAN = IoctlNumber.iowr('f', 16, SIZE);

  /** Protects what it finds. */
  public static final long WP_MATCHING = 1;

  /** Fails where pages are not protected asynchronously: else it finds nothing, in silence. */
  public static final long CHECK_WPASYNC = 2;

  /** Written since it was protected, or never protected. */
  public static final long WRITTEN = 1L << 1;

  /** In memory. */
  public static final long PRESENT = 1L << 3;

  /** In swap. */
  public static final long SWAPPED = 1L << 4;

  /** The page of zeroes that all untouched memory shares, once it was read. */
  public static final long ZERO_PAGE = 1L << 5;

  private ScanLayout() {}
}
