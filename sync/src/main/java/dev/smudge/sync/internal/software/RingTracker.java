package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.bitmap.ReportedBitmap;
import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingArmer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.internal.counter.RingCounters;
import dev.smudge.sync.internal.vcpu.Handshake;
import dev.smudge.sync.tracker.TrackedSlot;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * vCPUs mark in a live bitmap per slot, and each reports what it makes dirty in its own ring: then
 * collecting costs what is dirty, however large the slots are.
 */
public final class RingTracker extends SoftwareTracker {
  private final Handshake handshake;
  private final int entries;
  private final int reserve;
  private final RingArmer armer = this::arm;

  // Under the collector lock.
  private final PartTable parts = new PartTable();
  private final List<VcpuRing> rings = new ArrayList<>();
  private RingCounters closed = RingCounters.NONE;

  /** Makes one whose vCPUs take part in a handshake, with rings of so many entries. */
  public RingTracker(Handshake handshake, int entries, int reserve) {
    this.handshake = handshake;
    this.entries = entries;
    this.reserve = reserve;
  }

  @Override
  LivePart<?> newPart(TrackedSlot slot) {
    return new Part(slot);
  }

  @Override
  public VcpuMarks newMarks() {
    VcpuRing ring = new VcpuRing(DirtyRing.allocate(entries, reserve));
    rings.add(ring);
    return ring;
  }

  @Override
  public void drop(VcpuMarks marks) {
    if (marks instanceof VcpuRing ring) {
      RingCounters sum = closed.plus(ring.counters());
      if (rings.remove(ring)) {
        closed = sum;
      }
    }
  }

  @Override
  public RingCounters ringCounters() {
    RingCounters sum = closed;
    for (VcpuRing ring : rings) {
      sum = sum.plus(ring.counters());
    }
    return sum;
  }

  @Override
  public boolean hasRings() {
    return true;
  }

  @Override
  public boolean isAnyRingHalfFull() {
    for (VcpuRing ring : rings) {
      if (ring.isHalfFull()) {
        return true;
      }
    }
    return false;
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    int found = 0;
    for (VcpuRing ring : rings) {
      long word = ring.underWay(); // before the harvest, and before any collect
      if (word != VcpuRing.NOTHING) {
        report((int) (word >>> 32), (int) word);
      }
      found += ring.reap(armer, sink);
    }
    return found;
  }

  /** Reports, in the stead of a vCPU, a word that it has begun to report. */
  private void report(int entryId, int wordIndex) {
    // Of a slot that has gone, perhaps: by a vCPU whose thread died there.
    Part part = find(entryId, wordIndex);
    if (part != null) {
      part.live.report(wordIndex);
    }
  }

  /** An entry may name a slot or a page that there is not. */
  private void arm(int entryId, long wordIndex, long mask) {
    Part part = find(entryId, wordIndex);
    if (part != null) {
      part.live.clearWord((int) wordIndex, mask);
    }
  }

  private @Nullable Part find(int entryId, long wordIndex) {
    Part part = parts.get(entryId);
    return part == null || wordIndex < 0 || wordIndex >= part.live.wordCount() ? null : part;
  }

  @Override
  public void afterSync() {
    handshake.barrier();
  }

  private final class Part extends LivePart<ReportedBitmap> {
    private @Nullable Part next; // of the same slot number, in the table

    Part(TrackedSlot slot) {
      super(slot, new ReportedBitmap(slot.pageCount()));
    }

    @Override
    public void add() {
      parts.add(this);
      super.add();
    }

    @Override
    public void collect(PageWordConsumer sink) {
      live.fetchReported(sink);
    }

    @Override
    public void close() {
      parts.remove(this);
      super.close();
    }
  }

  /**
   * Parts by entry id: in lists by the number of the slot, which is its lower half. Every change is
   * one store, with nothing allocated after it: a hash table that an error has cut short in the
   * middle of a change may never find an end again.
   */
  private static final class PartTable {
    private static final int SLOT_IDS = 0xffff;

    private @Nullable Part[] lists = new Part[0];

    @Nullable Part get(int entryId) {
      int at = entryId & SLOT_IDS;
      Part part = at < lists.length ? lists[at] : null;
      while (part != null && part.slot.entryId() != entryId) {
        part = part.next;
      }
      return part;
    }

    /** Adds a part, unless it is here already. */
    @SuppressWarnings("ReferenceEquality") // parts are compared by identity
    void add(Part part) {
      int at = part.slot.entryId() & SLOT_IDS;
      if (get(part.slot.entryId()) != part) {
        if (at >= lists.length) {
          lists = Arrays.copyOf(lists, Math.max(at + 1, 2 * lists.length));
        }
        part.next = lists[at];
        lists[at] = part;
      }
    }

    @SuppressWarnings("ReferenceEquality") // parts are compared by identity
    void remove(Part part) {
      int at = part.slot.entryId() & SLOT_IDS;
      Part before = at < lists.length ? lists[at] : null;
      if (before == part) {
        lists[at] = part.next;
        return;
      }
      for (; before != null; before = before.next) {
        if (before.next == part) {
          before.next = part.next;
          return;
        }
      }
    }
  }

  @Override
  public String toString() {
    return "RingTracker[" + entries + " entries]";
  }
}
