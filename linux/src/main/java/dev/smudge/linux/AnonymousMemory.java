package dev.smudge.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * Memory of this process alone, which no file is behind: zero at first, and committed page by page
 * as it is written. Reading a page that was never written commits nothing. Nothing is reserved, so
 * it can be larger than the machine's memory; a process that writes more than there is, is ended by
 * the kernel. Any thread may call the methods.
 *
 * <p>Source: mmap(2), madvise(2); Linux Documentation/mm/overcommit-accounting.rst.
 */
public final class AnonymousMemory {
  private static final int NEW = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE;

  /** {@code MADV_HUGEPAGE}: back the memory by huge pages where they are whole in it. */
  public static final int HUGE_PAGES = 14;

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
    MemorySegment errno = Libc.newErrno();
    long address = Libc.mmap(errno, 0, size, NEW, -1, 0);
    if (address == -1) {
      throw new ErrnoException("mmap of " + size + " bytes", Libc.errno(errno));
    }
    return Libc.mapped(address, size, lifetime);
  }

  /**
   * Gives pages back: they are zero again, and commit nothing until they are written.
   *
   * @param pages whole pages of what {@link #map} has returned
   * @throws ErrnoException if they are not, or are locked in memory; they are as before then
   */
  public static void discard(MemorySegment pages) {
    int error = Libc.madvise(Libc.newErrno(), pages, Libc.MADV_DONTNEED);
    if (error != 0) {
      throw new ErrnoException("madvise(MADV_DONTNEED)", error);
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
    int empty = Libc.memfd(errno, "smudge-closed");
    long address = mapping.address();
    long size = mapping.byteSize();
    long mapped = -1;
    if (empty >= 0) {
      int flags = Libc.MAP_SHARED | Libc.MAP_FIXED | Libc.MAP_NORESERVE;
      mapped = Libc.mmap(errno, address, size, flags, empty, 0);
      Libc.close(empty);
    }
    if (mapped == -1) {
      Libc.madvise(errno, mapping, Libc.MADV_DONTNEED); // all that can be done
    }
  }
}
