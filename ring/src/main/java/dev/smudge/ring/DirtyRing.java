package dev.smudge.ring;

import java.nio.ByteBuffer;

/**
 * A dirty ring in the kernel's layout ({@link RingLayout}): one vCPU reports pages, a collector
 * harvests the entries, and a reset re-arms their pages and gives the entries back to the vCPU.
 *
 * <p>Each of these three roles has its own type: {@link RingProducer}, {@link RingHarvester},
 * {@link RingResetter}. A thread that is given one of them can do nothing else. Each is used by one
 * thread at a time; the three run beside one another without a lock.
 *
 * <pre>
 *        reset          harvest            push
 *          |               |                 |
 *  free    v   harvested   v      dirty      v     free
 *  ........RRRRRRRRRRRRRRRRDDDDDDDDDDDDDDDDDD..........
 * </pre>
 *
 * <p>A harvested page may be read only after its reset and a barrier; {@link
 * HarvestedPages#forEachPage} enforces both. A full ring refuses a page and never waits: the caller
 * has to record the page elsewhere.
 *
 * <p>Source: docs/design.md 3.5; Linux virt/kvm/dirty_ring.c; Documentation/virt/kvm/api.rst 8.29.
 */
public final class DirtyRing {
  /** The fewest entries of a ring. */
  public static final int MIN_ENTRIES = 2;

  /** The most entries of a ring, KVM_DIRTY_RING_MAX_ENTRIES. */
  public static final int MAX_ENTRIES = 65_536;

  private final int entryCount;
  private final int reserve;
  private final RingProducer producer;
  private final RingHarvester harvester;
  private final RingResetter resetter;

  private DirtyRing(RingEntries entries, int entryCount, int reserve) {
    this.entryCount = entryCount;
    this.reserve = reserve;
    RingProgress progress = new RingProgress();
    this.producer = new RingProducer(entries, progress, entryCount, reserve);
    this.harvester = new RingHarvester(entries, progress);
    this.resetter = new RingResetter(entries, progress);
  }

  /**
   * Makes an empty ring on the heap.
   *
   * @param entries its entries, a power of two from {@value #MIN_ENTRIES} to {@value #MAX_ENTRIES};
   *     16 bytes each
   * @param reserve entries that are free when the ring is soft full, 0 to {@code entries - 1}: room
   *     for the pages that a vCPU makes dirty until its next safepoint
   * @return the ring
   * @throws IllegalArgumentException if a value is outside that
   */
  public static DirtyRing allocate(int entries, int reserve) {
    checkSize(entries, reserve);
    return new DirtyRing(new RingEntries.OnHeap(entries), entries, reserve);
  }

  /**
   * Returns a ring over existing memory: a ring that the kernel has mapped, or one that is shared
   * with another process. It begins at the first entry.
   *
   * <p>If the kernel fills and resets the ring, use only the harvester, and {@link
   * RingResetter#noteResets} instead of a reset. If the ring is filled here, all flags must be 0.
   *
   * @param memory a direct, writable buffer, whose remaining bytes are the ring: 16 bytes per
   *     entry, a power of two from {@value #MIN_ENTRIES} to {@value #MAX_ENTRIES} entries, at an
   *     address that is a multiple of 8. Its position and limit are not changed
   * @param reserve as in {@link #allocate}
   * @return the ring
   * @throws IllegalArgumentException if a value is outside that
   */
  public static DirtyRing over(ByteBuffer memory, int reserve) {
    if (!memory.isDirect() || memory.isReadOnly()) {
      throw new IllegalArgumentException(
          "the memory of a ring has to be a direct, writable buffer: " + memory);
    }
    int bytes = memory.remaining();
    if (bytes % RingLayout.ENTRY_SIZE != 0) {
      throw new IllegalArgumentException(
          "a ring of " + bytes + " bytes does not consist of entries of " + RingLayout.ENTRY_SIZE);
    }
    int entries = bytes / RingLayout.ENTRY_SIZE;
    checkSize(entries, reserve);
    ByteBuffer own = memory.slice();
    if (own.alignmentOffset(0, Long.BYTES) != 0) {
      throw new IllegalArgumentException(
          "the address of a ring has to be a multiple of 8, this one is "
              + own.alignmentOffset(0, Long.BYTES)
              + " above one");
    }
    return new DirtyRing(new RingEntries.InBuffer(own, entries), entries, reserve);
  }

  /**
   * Checks the size of a ring.
   *
   * @param entries its entries, a power of two from {@value #MIN_ENTRIES} to {@value #MAX_ENTRIES}
   * @param reserve 0 to {@code entries - 1}
   * @throws IllegalArgumentException if a value is outside that
   */
  public static void checkSize(int entries, int reserve) {
    if (entries < MIN_ENTRIES || entries > MAX_ENTRIES || Integer.bitCount(entries) != 1) {
      throw new IllegalArgumentException(
          "a ring of "
              + entries
              + " entries: it has to be a power of two from "
              + MIN_ENTRIES
              + " to "
              + MAX_ENTRIES);
    }
    if (reserve < 0 || reserve >= entries) {
      throw new IllegalArgumentException(
          "a reserve of "
              + reserve
              + " entries: of a ring of "
              + entries
              + " it has to be 0 to "
              + (entries - 1));
    }
  }

  /** {@return the number of entries, a power of two} */
  public int entries() {
    return entryCount;
  }

  /** {@return how many entries are free, at most, when the ring is soft full} */
  public int reserve() {
    return reserve;
  }

  /** {@return the vCPU's side; the same object each time} */
  public RingProducer producer() {
    return producer;
  }

  /** {@return the collector's side; the same object each time} */
  public RingHarvester harvester() {
    return harvester;
  }

  /** {@return the side that gives entries back; the same object each time} */
  public RingResetter resetter() {
    return resetter;
  }

  /**
   * As {@code new HarvestedPages(...)} with room for a whole ring.
   *
   * @return an empty set of pages for {@link RingHarvester#harvest}
   */
  public HarvestedPages newHarvest() {
    return new HarvestedPages(entryCount);
  }

  @Override
  public String toString() {
    return "DirtyRing[" + entryCount + " entries, reserve " + reserve + "]";
  }
}
