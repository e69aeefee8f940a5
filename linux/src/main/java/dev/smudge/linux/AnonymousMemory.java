package dev.smudge.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * Memory of this process alone, which no file is behind: zero at first, and committed page by page
 * as it is written. Reading a page that was never written commits nothing. Nothing is reserved, so
 * it can be larger than the machine's memory; a process that writes more than there is, is ended by
 * the kernel. Any thread may call the methods.
 *
 * <p>Source: mmap(2), madvise(2); Documentation/admin-guide/mm/pagemap.rst; Linux
 * Documentation/mm/overcommit-accounting.rst.
 */
public final class AnonymousMemory {
  private static final int NEW = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE;

  private static final String PAGEMAP = "/proc/self/pagemap";
  private static final int MOST_ENTRIES = 8192; // of 8 bytes: the pages of 32 MiB

  /** {@code MADV_HUGEPAGE}: back the memory by huge pages where they are whole in it. */
  public static final int HUGE_PAGES = 14;

  /** {@code MADV_NOHUGEPAGE}: from now on back the memory by small pages alone. */
  public static final int NO_HUGE_PAGES = 15;

  private static int empty = -1; // a file of no bytes; open for good, once it is

  private AnonymousMemory() {}

  /**
   * {@return whether it can be had without a warning: this is Linux, and the embedder has granted
   * native access to this module}
   */
  public static boolean isGranted() {
    return AnonymousMemory.class.getModule().isNativeAccessEnabled()
        && System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux");
  }

  /**
   * Maps new memory, readable and writable.
   *
   * @param size bytes, more than 0; rounded up to whole pages by the kernel
   * @param lifetime unmaps it when it is closed, or, an automatic one, when nobody can reach it
   * @return the memory, which begins at a whole page
   * @throws ErrnoException if there are not so many free addresses ({@code ulimit -v} counts them),
   *     or the kernel commits nothing in advance (vm.overcommit_memory = 2); nothing is mapped
   */
  public static MemorySegment map(long size, Arena lifetime) {
    return Libc.map("mmap of " + size + " bytes", Libc.newErrno(), size, NEW, -1, 0, lifetime);
  }

  /**
   * Gives pages back: they are zero again, and commit nothing until they are written.
   *
   * @param pages whole pages of what {@link #map} has returned
   * @return whether it is done; false of pages that are locked in memory, which are as before
   */
  public static boolean discard(MemorySegment pages) {
    return Libc.madvise(Libc.newErrno(), pages, Libc.MADV_DONTNEED) == 0;
  }

  /**
   * Finds memory that may have been written: pages that are there, in memory or in swap. Commits
   * nothing. Pages that were only read are passed by where the kernel can tell (from Linux 6.7 on),
   * which also takes much longer where it cannot: 0.5 s per TiB.
   *
   * @param mapped a part of what {@link #map} has returned
   * @param from an offset in it
   * @return the offset of the first byte, from there on, whose page is there, or the size of the
   *     part; {@code from} where the system does not tell
   */
  public static long nextTouched(MemorySegment mapped, long from) {
    long size = mapped.byteSize();
    if (from >= size) {
      return size;
    }
    long page = Libc.pageSize();
    long begin = (mapped.address() + from) / page * page;
    long end = (mapped.address() + size + page - 1) / page * page;
    long found = nextScanned(begin, end);
    if (found < 0) {
      found = nextEntry(begin / page, end / page) * page;
    }
    return Math.min(size, Math.max(from, found - mapped.address()));
  }

  /** Has the kernel look; -1 where it cannot. */
  private static long nextScanned(long begin, long end) {
    try (Descriptor pagemap = Descriptor.openToRead(PAGEMAP);
        Arena arena = Arena.ofConfined()) {
      MemorySegment region = arena.allocate(ScanLayout.REGION_SIZE, 8);
      MemorySegment scan = arena.allocate(ScanLayout.SIZE, 8);
      scan.set(JAVA_LONG, ScanLayout.SIZE_OFFSET, ScanLayout.SIZE);
      scan.set(JAVA_LONG, ScanLayout.START_OFFSET, begin);
      scan.set(JAVA_LONG, ScanLayout.END_OFFSET, end);
      scan.set(JAVA_LONG, ScanLayout.VECTOR_OFFSET, region.address());
      scan.set(JAVA_LONG, ScanLayout.VECTOR_LENGTH_OFFSET, 1);
      scan.set(JAVA_LONG, ScanLayout.INVERTED_OFFSET, ScanLayout.ZERO_PAGE);
      scan.set(JAVA_LONG, ScanLayout.MASK_OFFSET, ScanLayout.ZERO_PAGE);
      long there = ScanLayout.PRESENT | ScanLayout.SWAPPED;
      scan.set(JAVA_LONG, ScanLayout.ANY_OF_OFFSET, there);
      scan.set(JAVA_LONG, ScanLayout.RETURNED_OFFSET, there);
      int regions = pagemap.tryIoctl(ScanLayout.PAGEMAP_SCAN, scan.address());
      if (regions > 0) {
        return region.get(JAVA_LONG, 0);
      }
      return regions == 0 && scan.get(JAVA_LONG, ScanLayout.WALK_END_OFFSET) == end ? end : -1;
    } catch (ErrnoException e) {
      return -1; // no /proc
    }
  }

  /** Looks page by page, as every kernel can; returns the first page where it cannot. */
  private static long nextEntry(long first, long past) {
    byte[] entries = new byte[Math.toIntExact(Math.min(MOST_ENTRIES, past - first)) * 8];
    try (RandomAccessFile pagemap = new RandomAccessFile(PAGEMAP, "r")) {
      pagemap.seek(first * 8);
      for (long at = first; at < past; ) {
        int read = pagemap.read(entries, 0, (int) Math.min(entries.length, (past - at) * 8));
        if (read < 8) {
          return at;
        }
        for (int entry = 0; entry + 8 <= read; entry += 8, at++) {
          // Bits 62 and 63, little-endian.
          if ((entries[entry + 7] & 0xc0) != 0) {
            return at;
          }
        }
      }
      return past;
    } catch (IOException e) {
      return first; // no /proc: it may have been written
    }
  }

  /**
   * Memory of this process that somebody else has mapped, as a segment. It is not checked, and
   * lives for ever as far as Java knows.
   *
   * @param address of its first byte
   * @param size bytes
   * @return the memory
   */
  public static MemorySegment at(long address, long size) {
    return Libc.at(address, size);
  }

  /**
   * Gives the kernel advice about memory.
   *
   * @param pages whole pages
   * @param advice such as {@link #HUGE_PAGES}
   * @return whether the kernel takes it; one that was built without what it is about does not
   */
  public static boolean advise(MemorySegment pages, int advice) {
    return Libc.madvise(Libc.newErrno(), pages, advice) == 0;
  }

  /**
   * Takes the memory away, but not the addresses, for as long as somebody may still use those: an
   * access raises SIGBUS from now on, of which the JVM makes an {@link InternalError}. Where the
   * kernel gives no descriptor for that, the memory is there, and zero.
   *
   * @param mapping all that {@link #map} has returned, which is alive
   */
  public static void withdraw(MemorySegment mapping) {
    MemorySegment errno = Libc.newErrno();
    long address = mapping.address();
    long size = mapping.byteSize();
    long mapped = -1;
    int file = emptyFile(errno);
    if (file >= 0) {
      int flags = Libc.MAP_SHARED | Libc.MAP_FIXED | Libc.MAP_NORESERVE;
      // At its own address in the file, so that the kernel makes one mapping of neighbours. A
      // process may have 65,530, and a JVM that gets no more is over.
      mapped = Libc.mmap(errno, address, size, flags, file, address);
    }
    if (mapped == -1) {
      Libc.madvise(errno, mapping, Libc.MADV_DONTNEED); // all that can be done
    }
  }

  private static synchronized int emptyFile(MemorySegment errno) {
    if (empty < 0) {
      empty = Libc.memfd(errno, "smudge-closed");
    }
    return empty;
  }
}
