package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.ReportedBitmap;
import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingArmer;
import dev.smudge.ring.RingHarvester;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.ring.RingProducer;
import dev.smudge.sync.internal.counter.RingCounters;
import dev.smudge.sync.internal.vcpu.RingRoom;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The dirty ring of a vCPU, and how pages come into it and out of it.
 *
 * <p>The vCPU that changes a live bit from 0 to 1 pushes the page. Where the ring has no room, it
 * reports the page in the slot's bitmap instead.
 *
 * <p><b>A report that is under way.</b> Another vCPU that finds the bit set relies on the report,
 * and the first one may be stopped half-way: the bit is set and the page is nowhere yet. So a vCPU
 * says beforehand which word it is about to report, and a collector that finds such a word reports
 * it in the bitmap in its stead, before it looks there. A page that comes twice is dirty twice,
 * which does no harm.
 *
 * <p><b>A mark that is cut short by an error</b> leaves its note, with which collectors go on as
 * above, also when the vCPU's thread has died. The vCPU's next mark needs the note for itself: it
 * reports the word first. So a bit that is set is always that of a page in a ring, in a report, or
 * under way.
 *
 * <p><b>Why a reset loses nothing.</b> It clears the live bit of a page that was harvested, which
 * is told to every client in the same step, under the collector lock, and no client reads a page
 * before a barrier that begins after that. The bit may by then stand for a later write: its entry
 * is in a ring still, and is told with the next harvest. Source: docs/design.md 3.5.
 */
final class VcpuRing implements VcpuMarks, RingRoom {
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int UNDER_WAY = 16; // and SPILLS: alone on their lines
  private static final int SPILLS = 17;
  static final long NOTHING = -1;
  private static final int CHUNK = 1024;

  private final DirtyRing ring;
  private final RingProducer producer;
  private final RingHarvester harvester;
  private final long[] shared = new long[34];
  private @Nullable ReportedBitmap marked; // the vCPU's: the bitmap of the word under way

  // Under the collector lock.
  private final HarvestedPages harvested;
  private long resets;

  VcpuRing(DirtyRing ring) {
    this.ring = ring;
    this.producer = ring.producer();
    this.harvester = ring.harvester();
    this.harvested = new HarvestedPages(Math.min(CHUNK, ring.entries()));
    this.shared[UNDER_WAY] = NOTHING;
  }

  @Override
  public RingRoom ring() {
    return this;
  }

  /** Marks pages, and reports those that were clean. */
  @Override
  public long mark(ArmableBitmap bitmap, int entryId, long firstPage, long lastPage) {
    if (shared[UNDER_WAY] != NOTHING) {
      finishReport(); // a mark was cut short
    }
    ReportedBitmap live = (ReportedBitmap) bitmap;
    marked = live;
    long changed = 0;
    int lastWord = (int) (lastPage >>> 6);
    for (int word = (int) (firstPage >>> 6); word <= lastWord; word++) {
      long mask = word == firstPage >>> 6 ? -1L << firstPage : -1L;
      if (word == lastWord) {
        mask &= -1L >>> ~lastPage;
      }
      // ORDER S10 release: before the live bit (B4), and after what came of the word before. Pairs
      // with the acquire in underWay: whoever has relied on that bit, and was waited for, brings it
      // to the collector. If weaker (after the bit): neither the entry nor this is seen, and a page
      // that another vCPU has written, and did not report, is missing from a fetch. If opaque: the
      // collector sees this, and not yet the entries of the word before, whose S11 it hides.
      SHARED.setRelease(shared, UNDER_WAY, (long) entryId << 32 | word);
      long clean = live.markWord(word, mask);
      if (clean != 0) {
        changed += Long.bitCount(clean);
        long spilled = push(entryId, word, clean);
        if (spilled != 0) {
          live.report(word);
          // ORDER S12 opaque: a count. Pairs with the opaque load in spills. If weaker: torn.
          SHARED.setOpaque(shared, SPILLS, shared[SPILLS] + spilled);
        }
      }
      // ORDER S11 release: the entries and the report come before it is over. Pairs with the
      // acquire in underWay, which comes before the harvest. If weaker: the collector sees that
      // nothing is under way, and not yet what came of it.
      SHARED.setRelease(shared, UNDER_WAY, NOTHING);
    }
    marked = null;
    return changed;
  }

  /**
   * The note of a mark that was cut short by an error: its bits are set perhaps, and other vCPUs
   * may rely on them, so the word is reported before the note is used again.
   */
  private void finishReport() {
    ReportedBitmap live = marked;
    if (live != null) {
      live.report((int) shared[UNDER_WAY]);
    }
    SHARED.setRelease(shared, UNDER_WAY, NOTHING); // S11
  }

  /** Returns how many of the pages had no room. */
  private long push(int entryId, int word, long pages) {
    long without = 0;
    for (long rest = pages; rest != 0; rest &= rest - 1) {
      if (!producer.push(entryId, ((long) word << 6) + Long.numberOfTrailingZeros(rest))) {
        without++;
      }
    }
    return without;
  }

  @Override
  public boolean isSoftFull() {
    return producer.isSoftFull();
  }

  /** Pages that had no room in the ring. From any thread. */
  private long spills() {
    // S12.
    return (long) SHARED.getOpaque(shared, SPILLS);
  }

  /** The word that the vCPU has begun to report, under its slot; {@link #NOTHING} if none. */
  long underWay() {
    // S10, S11 acquire.
    return (long) SHARED.getAcquire(shared, UNDER_WAY);
  }

  /** Whether half of what the ring holds before it is soft full waits. Under the collector lock. */
  boolean isHalfFull() {
    return harvester.hasAtLeast(Math.max(1, (ring.entries() - ring.reserve()) / 2));
  }

  /**
   * Harvests, resets and hands out; at most one round of the ring. Under the collector lock, whose
   * holder tells every client of the pages before it gives the lock away.
   *
   * @return how many entries were harvested, or had been before and were not handed out then
   */
  int reap(RingArmer armer, RingPageConsumer sink) {
    int left = harvested.size(); // of a time before, if that was cut short
    handOut(armer, sink);
    int count = 0;
    int found;
    do {
      found = harvester.harvest(harvested);
      handOut(armer, sink);
      count += found;
    } while (found == CHUNK && count < ring.entries());
    return left + count;
  }

  private void handOut(RingArmer armer, RingPageConsumer sink) {
    if (harvested.size() > 0) {
      if (ring.resetter().reset(armer) > 0) {
        resets++;
      }
      harvested.forEachPage(VcpuRing::barrierOfTheTake, sink);
    }
  }

  /** Nobody reads the pages before the barrier with which every take ends. */
  private static void barrierOfTheTake() {}

  /** Entries that were harvested, resets, and pages that had no room. Under the collector lock. */
  RingCounters counters() {
    return new RingCounters(harvester.harvested(), resets, spills());
  }

  @Override
  public String toString() {
    return ring.toString();
  }
}
