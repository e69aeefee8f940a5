package dev.smudge.mmu;

import dev.smudge.linux.AnonymousMemory;
import dev.smudge.linux.Errno;
import dev.smudge.linux.ErrnoException;
import dev.smudge.linux.Libc;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashSet;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A tracker that uses the memory management unit: Linux write-protects the pages of the guest's
 * RAM, and notes the first write to each. Memory, clients and batches are the same as with marks:
 *
 * <pre>{@code
 * GuestMemory memory = GuestMemory.over(MmuTracker.log());
 * }</pre>
 *
 * <p><b>Every store is found,</b> by any thread: through {@code slot.ram()}, by native code, by
 * system calls, by a KVM guest. No store is marked, so a store to a dirty page costs as much as an
 * untracked store; the first store to a clean page costs a fault, 1.5 to 3 microseconds. A take
 * walks the page tables, so it costs more than with marks. docs/choosing.md says which is cheaper
 * when.
 *
 * <p><b>Some writes are not seen,</b> and have to be marked ({@code memory.device().mark}): reads
 * from a file opened with O_DIRECT into the RAM, and other DMA; memory that other code discards
 * ({@code MADV_DONTNEED}); writes through another mapping of the same memory.
 *
 * <p>RAM has to be private anonymous memory. A {@code GuestMemory}'s own RAM is; so is a native
 * library's, given as a segment or by its address ({@link #memoryAt}). Pages have the size of the
 * host's pages, mostly 4 KiB, or a multiple of it.
 *
 * <p>Threads: the static methods may be called from any thread. Source: docs/mmu.md; Linux
 * Documentation/admin-guide/mm/pagemap.rst.
 */
public final class MmuTracker {
  private static final String NOT_GRANTED =
      "the MMU tracker needs Linux, and native access: start the JVM with"
          + " --enable-native-access=dev.smudge.linux, on the class path with ALL-UNNAMED";

  private final Userfaultfd userfaultfd;
  private final PagemapScan scan;
  private final boolean oracle;
  private final Set<MmuSlot> leaving = new HashSet<>();
  private volatile boolean closed;
  private @Nullable EmbeddedLog log; // set before there are slots; an oracle has none

  private MmuTracker(Userfaultfd userfaultfd, PagemapScan scan, boolean oracle) {
    this.userfaultfd = userfaultfd;
    this.scan = scan;
    this.oracle = oracle;
  }

  /**
   * Tries the mechanism on one page.
   *
   * @return why this machine cannot find writes in this way, in a sentence with the remedy; empty
   *     if it can
   */
  public static Optional<String> whyNot() {
    if (!AnonymousMemory.isGranted()) {
      return Optional.of(NOT_GRANTED);
    }
    if (UserfaultLayouts.SYSCALL == 0) {
      return Optional.of(
          "the MMU tracker knows x86-64 and aarch64, not "
              + System.getProperty("os.arch")
              + ": use software marks");
    }
    try (Userfaultfd userfaultfd = Userfaultfd.open();
        PagemapScan scan = PagemapScan.open()) {
      return test(userfaultfd, scan);
    } catch (ErrnoException e) {
      return Optional.of(reason(e.call(), e.errno()) + " (" + e.getMessage() + ")");
    } catch (MmuException e) {
      return Optional.of(reason("", e.errno()) + " (" + e.getMessage() + ")");
    }
  }

  private static String reason(String call, int errno) {
    return switch (errno) {
      case Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM ->
          "not now: " + Errno.meaning(errno) + "; raise the limit, or try again later";
      case Errno.EPERM, Errno.EACCES ->
          "this process may not use userfaultfd, by a seccomp profile perhaps: hand"
              + " /dev/userfaultfd to the container, or allow the system call";
      default ->
          call.equals("open")
              ? "/proc/self/pagemap cannot be opened: mount /proc"
              : "the kernel is older than 6.7, or was built without userfaultfd: use software"
                  + " marks";
    };
  }

  private static Optional<String> test(Userfaultfd userfaultfd, PagemapScan scan) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment page = AnonymousMemory.map(Libc.pageSize(), arena);
      long from = page.address();
      long end = from + page.byteSize();
      userfaultfd.register(from, end);
      int[] found = new int[3];
      int[] inRound = new int[1]; // no lambda over an int (docs/design.md 3.8)
      for (int i = 0; i < found.length; i++) {
        inRound[0] = 0;
        if (i != 1) {
          page.set(ValueLayout.JAVA_INT, 0, i + 1);
        }
        scan.scan(from, end, true, (a, b) -> inRound[0]++);
        found[i] = inRound[0];
      }
      userfaultfd.unregister(from, end, false);
      return found[0] == 1 && found[1] == 0 && found[2] == 1
          ? Optional.empty()
          : Optional.of(
              "this kernel does not find writes as it should (found "
                  + found[0]
                  + ", "
                  + found[1]
                  + ", "
                  + found[2]
                  + " pages where 1, 0, 1 are right): use software marks");
    }
  }

  /**
   * As {@link #log(DirtyLogBuilder)}, with defaults.
   *
   * @return the log
   * @throws UnsupportedOperationException if this machine cannot
   * @throws MmuException as there
   */
  public static DirtyLog log() {
    return log(DirtyLog.builder());
  }

  /**
   * Makes a dirty log whose writes the MMU finds. It has vCPUs, for pauses, tasks and changes of
   * slots; writes through them are not marked.
   *
   * @param options of the log: its tracker is set here, and makes no other log by {@code build}
   * @return the log, for one {@code GuestMemory}
   * @throws UnsupportedOperationException if this machine cannot; the message is that of {@link
   *     #whyNot}
   * @throws MmuException if the kernel refuses nonetheless, for example because no file descriptor
   *     is free; nothing is left open
   */
  public static DirtyLog log(DirtyLogBuilder options) {
    MmuTracker tracker = open(false);
    try {
      DirtyLog made = options.tracker(tracker.new Spi()).build();
      tracker.log = EmbeddedLog.of(made);
      return made;
    } catch (Throwable e) {
      tracker.close();
      throw e;
    }
  }

  /**
   * Makes an oracle for the verify mode of a log with software marks: it finds the writes that
   * nobody marked.
   *
   * <pre>{@code
   * GuestMemory memory =
   *     GuestMemory.over(DirtyLog.builder().verifyWith(MmuTracker.oracle()).build());
   * }</pre>
   *
   * <p>It finds every store, even one that leaves the content as it was, except those that the
   * class comment lists. It skips pages that were read and never written. When the first client
   * starts it asks the kernel for small pages, because the first write to a new huge page makes all
   * of it count as written: do not ask for huge pages after that.
   *
   * @return the oracle, for one log, which closes it
   * @throws UnsupportedOperationException if this machine cannot; the message is that of {@link
   *     #whyNot}
   * @throws MmuException as {@link #log(DirtyLogBuilder)}
   */
  public static Tracker oracle() {
    return open(true).new Spi();
  }

  private static MmuTracker open(boolean oracle) {
    Optional<String> reason = whyNot();
    if (reason.isPresent()) {
      throw new UnsupportedOperationException(reason.get());
    }
    Userfaultfd userfaultfd = null;
    try {
      userfaultfd = Userfaultfd.open();
      PagemapScan scan = oracle ? PagemapScan.openForWrites() : PagemapScan.open();
      return new MmuTracker(userfaultfd, scan, oracle);
    } catch (ErrnoException e) {
      if (userfaultfd != null) {
        userfaultfd.close();
      }
      throw new MmuException(e, "");
    }
  }

  /**
   * Makes a dirty log whose writes the MMU finds if this machine supports that, and software marks
   * if not. With marks, writes by devices have to be marked, so mark them in either case.
   *
   * @param options of the log: its tracker is set here, and makes no other log by {@code build}
   * @return the log, for one {@code GuestMemory}
   * @throws MmuException as {@link #log(DirtyLogBuilder)}
   */
  public static DirtyLog logOrMarks(DirtyLogBuilder options) {
    return whyNot().isEmpty() ? log(options) : options.build();
  }

  /**
   * Returns memory of this process as a segment, for {@code GuestMemory.addSlot}: for example a
   * native library's RAM at a known address.
   *
   * <pre>{@code
   * memory.addSlot(0, guestAddress, MmuTracker.memoryAt(address, bytes), 4096);
   * }</pre>
   *
   * <p>The owner of the memory has to keep it mapped until the slot is removed: an access to memory
   * that is not mapped ends the JVM. Any thread may call this, and use the segment.
   *
   * @param address address of its first byte, a multiple of the machine's page size
   * @param bytes its size in bytes, a multiple of the machine's page size, more than 0
   * @return the memory
   * @throws IllegalArgumentException if a value is outside that, or if the MMU cannot track all of
   *     the range: it is not mapped, is shared memory or a mapping of a file, or cannot be written;
   *     the message says which
   * @throws UnsupportedOperationException if this is not Linux, or native access is not granted
   */
  public static MemorySegment memoryAt(long address, long bytes) {
    if (!AnonymousMemory.isGranted()) {
      throw new UnsupportedOperationException(NOT_GRANTED);
    }
    long page = Libc.pageSize();
    String range = bytes + " bytes at 0x" + Long.toHexString(address);
    if (address % page != 0 || bytes % page != 0 || bytes <= 0) {
      throw new IllegalArgumentException(
          range + ": both have to be multiples of " + page + ", and the size more than 0");
    }
    String reason =
        address < 0 || bytes > Long.MAX_VALUE - address
            ? "a process has no memory there"
            : ProcessMaps.reasonAgainst(address, address + bytes);
    if (reason != null) {
      throw new IllegalArgumentException(
          "the MMU cannot track "
              + range
              + ": "
              + reason
              + "; it has to be private anonymous memory, readable and writable");
    }
    return AnonymousMemory.at(address, bytes);
  }

  Userfaultfd userfaultfd() {
    return userfaultfd;
  }

  PagemapScan scan() {
    return scan;
  }

  /** Slots that were removed, and are not closed. Under the collector lock. */
  Set<MmuSlot> leaving() {
    return leaving;
  }

  boolean isOracle() {
    return oracle;
  }

  /** Tells the log's error handler. */
  void report(Throwable error) {
    Objects.requireNonNull(log).report(error);
  }

  boolean isClosed() {
    return closed;
  }

  private void close() {
    closed = true;
    userfaultfd.close();
    scan.close();
  }

  /** What the log sees. */
  private final class Spi implements Tracker {
    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return new MmuSlot(MmuTracker.this, slot);
    }

    /**
     * Does nothing. The kernel has flushed the TLBs when a clear returns: a write that is not found
     * later came before that, and is in memory.
     */
    @Override
    public void afterSync() {}

    @Override
    public void close() {
      MmuTracker.this.close();
    }

    @Override
    public String toString() {
      return "MmuTracker";
    }
  }
}
