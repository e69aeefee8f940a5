package dev.smudge.core;

import dev.smudge.sync.RemovedSlot;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a guest lost in a {@link SlotTransaction}: a slot of before, those of its pages that no slot
 * has now, which of them are dirty, and its RAM, readable until this is closed.
 *
 * <p>Dirty is what was dirty for any client; everything, if there was none. What a client has in an
 * open batch comes when that gives it back; what an {@link AsyncWrite} brings, when that is closed.
 * From any thread. Source: catalogue 18.
 */
public final class RemovedGuestSlot implements AutoCloseable {
  private final GuestSlot slot;
  private final RemovedSlot removed;
  private final SparseRam.@Nullable Pin pin;
  private final Set<RemovedGuestSlot> open;
  private final List<long[]> pages; // first page and count

  RemovedGuestSlot(
      GuestSlot slot,
      RemovedSlot removed,
      SparseRam.@Nullable Pin pin,
      List<long[]> pages,
      Set<RemovedGuestSlot> open) {
    this.slot = slot;
    this.removed = removed;
    this.pin = pin;
    this.pages = new ArrayList<>(pages);
    this.open = open;
  }

  /** {@return the slot of before; its RAM is in {@link #ram}} */
  public GuestSlot slot() {
    return slot;
  }

  /**
   * Returns the RAM of the whole slot. Pages that the guest lost stay as the guest left them; the
   * others are in use.
   *
   * @return the RAM, read-only; valid until this, or the memory, is closed
   */
  public MemorySegment ram() {
    return (pin == null ? slot.ram : pin.segment).asReadOnly();
  }

  /** {@return how many of the lost pages are dirty} */
  public long dirtyPages() {
    return removed.dirtyPages();
  }

  /**
   * Hands out the lost pages that are dirty, and their content, ascending.
   *
   * @param consumer gets the runs; what it throws comes through
   * @throws IOException if the consumer throws it
   */
  public void forEachRun(GuestRunConsumer consumer) throws IOException {
    MemorySegment ram = ram();
    long pageSize = slot.pageSize();
    List<long[]> runs = new ArrayList<>();
    removed.forEachRun((logSlot, first, count) -> runs.add(new long[] {first, count}));
    for (long[] run : runs) {
      MemorySegment content = ram.asSlice(run[0] * pageSize, run[1] * pageSize);
      consumer.accept(slot, run[0], run[1], content);
    }
  }

  /** A write to a range of the slot landed late: marks those of its pages that are lost. */
  void markLate(long offset, long length) {
    int shift = slot.log.pageShift();
    long first = offset >>> shift;
    long end = ((offset + length - 1) >>> shift) + 1;
    for (long[] lost : pages) {
      long from = Math.max(first, lost[0]);
      long to = Math.min(end, lost[0] + lost[1]);
      if (from < to) {
        removed.markLate(from, to - from);
      }
    }
  }

  /** Gives the RAM up. A second call does nothing. */
  @Override
  public void close() {
    open.remove(this);
    if (pin != null) {
      pin.release();
    }
  }

  @Override
  public String toString() {
    return "RemovedGuestSlot[" + slot + "]";
  }
}
