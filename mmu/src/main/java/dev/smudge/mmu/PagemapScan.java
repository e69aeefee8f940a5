package dev.smudge.mmu;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.linux.Descriptor;
import dev.smudge.linux.ErrnoException;
import dev.smudge.linux.ScanLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Finds pages that were written since they were protected, and those that were not protected since
 * they came into memory. Pages that are not there, because nobody has touched them, are neither
 * found nor protected: they are found when somebody has. One thread at a time.
 *
 * <p>The kernel holds the lock of the address space meanwhile, which a guest needs for its first
 * writes: so one call covers 1 GiB at most. It flushes the TLBs of all processors before it
 * returns.
 */
final class PagemapScan implements AutoCloseable {
  /** Receives ranges of addresses, ascending. */
  interface Found {
    void accept(long from, long end);
  }

  private static final long MOST = 1L << 30;
  private static final int REGIONS = 4096;

  private final Descriptor pagemap;
  private final MemorySegment argument;
  private final MemorySegment regions;

  private PagemapScan(Descriptor pagemap) {
    this.pagemap = pagemap;
    Arena arena = Arena.ofAuto();
    this.argument = arena.allocate(ScanLayout.SIZE, 8);
    this.regions = arena.allocate(REGIONS * ScanLayout.REGION_SIZE, 8);
    argument.set(JAVA_LONG, ScanLayout.SIZE_OFFSET, ScanLayout.SIZE);
    argument.set(JAVA_LONG, ScanLayout.VECTOR_OFFSET, regions.address());
    argument.set(JAVA_LONG, ScanLayout.VECTOR_LENGTH_OFFSET, REGIONS);
    argument.set(JAVA_LONG, ScanLayout.MASK_OFFSET, ScanLayout.WRITTEN);
    argument.set(JAVA_LONG, ScanLayout.ANY_OF_OFFSET, ScanLayout.PRESENT | ScanLayout.SWAPPED);
    argument.set(JAVA_LONG, ScanLayout.RETURNED_OFFSET, ScanLayout.WRITTEN);
  }

  /** Makes one, of this process. */
  static PagemapScan open() {
    return new PagemapScan(Descriptor.openToRead("/proc/self/pagemap"));
  }

  /** Makes one that passes by pages that were read and never written: they are not protected. */
  static PagemapScan openForWrites() {
    PagemapScan scan = open();
    scan.argument.set(JAVA_LONG, ScanLayout.INVERTED_OFFSET, ScanLayout.ZERO_PAGE);
    long mask = ScanLayout.WRITTEN | ScanLayout.ZERO_PAGE;
    scan.argument.set(JAVA_LONG, ScanLayout.MASK_OFFSET, mask);
    return scan;
  }

  /**
   * Finds the written pages of a range.
   *
   * @param protects whether what is found is protected, so that its next write is found again
   * @throws MmuException if the kernel refuses: what was found and protected before that was handed
   *     out, and some of what was not handed out may be protected
   */
  void scan(long from, long end, boolean protects, Found found) {
    long flags = ScanLayout.CHECK_WPASYNC | (protects ? ScanLayout.WP_MATCHING : 0);
    argument.set(JAVA_LONG, ScanLayout.FLAGS_OFFSET, flags);
    for (long at = from; at < end; ) {
      long next = scanOnce(at, Math.min(end, at + MOST), found);
      if (next <= at) {
        throw new IllegalStateException(
            "the scan from 0x"
                + Long.toHexString(at)
                + " makes no progress: is this memory in huge pages of hugetlbfs?");
      }
      at = next;
    }
  }

  private long scanOnce(long from, long end, Found found) {
    argument.set(JAVA_LONG, ScanLayout.START_OFFSET, from);
    argument.set(JAVA_LONG, ScanLayout.END_OFFSET, end);
    int count;
    try {
      count = pagemap.ioctl("PAGEMAP_SCAN", ScanLayout.PAGEMAP_SCAN, argument, regions);
    } catch (ErrnoException e) {
      throw new MmuException(
          e, " of 0x" + Long.toHexString(from) + " to 0x" + Long.toHexString(end));
    }
    for (int i = 0; i < count; i++) {
      long region = i * ScanLayout.REGION_SIZE;
      found.accept(regions.get(JAVA_LONG, region), regions.get(JAVA_LONG, region + 8));
    }
    return argument.get(JAVA_LONG, ScanLayout.WALK_END_OFFSET);
  }

  @Override
  public void close() {
    pagemap.close();
  }
}
