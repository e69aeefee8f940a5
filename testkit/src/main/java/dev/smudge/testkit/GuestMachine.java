package dev.smudge.testkit;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;

/** A guest over the tracker that is tested. Its vCPU writes what the test says. */
public abstract class GuestMachine implements AutoCloseable {
  /** The guest address at which tests put their first slot. */
  public static final long BASE = 0x4000_0000L;

  /** The bytes per page. */
  public static final int PAGE = 4096;

  /** Makes machines of one kind. */
  @FunctionalInterface
  public interface Factory {
    /** Makes a machine whose log calls what the interceptor returns for the machine's tracker. */
    GuestMachine machine(UnaryOperator<Tracker> interceptor);
  }

  private final Arena arena = Arena.ofShared();
  private final GuestMemory memory;
  private final boolean hasRing;

  /**
   * Makes a machine over a memory without slots, which it closes.
   *
   * @param hasRing whether the vCPU reports the pages that it writes in a dirty ring
   */
  protected GuestMachine(GuestMemory memory, boolean hasRing) {
    this.memory = memory;
    this.hasRing = hasRing;
  }

  /** The guest's memory. */
  public final GuestMemory memory() {
    return memory;
  }

  /** Whether the vCPU reports the pages that it writes in a dirty ring. */
  public final boolean hasRing() {
    return hasRing;
  }

  /** RAM for a slot, all zeros, which lives until the machine is closed. */
  public final MemorySegment ram(long pages) {
    return arena.allocate(pages * PAGE, PAGE);
  }

  /** The guest writes eight bytes to each address, in this order, and then is offline. */
  public abstract void write(long value, long... addresses);

  /**
   * Whether the tracker or the memory refused a call. The class of such an error is a result that a
   * {@link LockStep} compares; any other error ends the test.
   */
  protected boolean isRefusal(RuntimeException error) {
    return error instanceof IllegalArgumentException || error instanceof IndexOutOfBoundsException;
  }

  /** The guest address of a page of the machine's RAM. */
  public static long at(long page) {
    return BASE + page * PAGE;
  }

  /** The guest addresses of pages. */
  public static long[] at(long from, long to) {
    return LongStream.range(from, to).map(GuestMachine::at).toArray();
  }

  /**
   * Whether a page counts as written once more if the kernel, defragmenting memory, moves it at the
   * moment at which a take protects it.
   */
  public boolean pagesMove() {
    return false;
  }

  /** Pages of a slot, named as {@code slot:page}. */
  public static Set<String> pages(int slot, long... pages) {
    Set<String> set = new TreeSet<>();
    LongStream.of(pages).forEach(page -> set.add(slot + ":" + page));
    return set;
  }

  /** A range of pages of a slot, named as {@code slot:page}. */
  public static Set<String> range(int slot, long from, long to) {
    return pages(slot, LongStream.range(from, to).toArray());
  }

  /** Looks at all dirty pages, and takes none. */
  public static Set<String> look(DirtyClient<GuestSlot> client) {
    Set<String> pages = new TreeSet<>();
    client.forEachDirtyRun(
        (slot, first, count) -> pages.addAll(range(slot.id(), first, first + count)));
    return pages;
  }

  /** Takes and commits all dirty pages; each is named as {@code slot:page}. */
  public static Set<String> take(DirtyClient<GuestSlot> client) {
    Set<String> found = new TreeSet<>();
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        for (long page = first; page < first + count; page++) {
          found.add(slot.id() + ":" + page);
        }
      });
      batch.commit();
    }
    return found;
  }

  /** Ends whatever runs the guest. The memory is closed then, and the RAM is still there. */
  protected void stop() {}

  @Override
  public final void close() {
    memory.close();
    stop();
    arena.close();
  }
}
