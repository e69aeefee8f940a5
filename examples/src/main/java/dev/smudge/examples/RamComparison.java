package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Compares RAM of the destination with what the source says is in its own. */
final class RamComparison {
  private final GuestMemory memory;
  private final byte[] zeroes = new byte[StreamLayout.MAX_CONTENT];
  private final List<Long> first = new ArrayList<>();
  private long differing;
  private long lastDifferingPage = -1;
  private int lastDifferingSlot = -1;
  private long pages;

  RamComparison(GuestMemory memory) {
    this.memory = memory;
  }

  /** The body of a COMPARE. */
  void data(ByteBuffer body) {
    GuestSlot slot = memory.slot(body.getInt());
    compare(slot, body.getLong(), MemorySegment.ofBuffer(body));
  }

  /** The body of a COMPARE_ZERO. */
  void zero(ByteBuffer body) {
    GuestSlot slot = memory.slot(body.getInt());
    long offset = body.getLong();
    long length = body.getLong();
    if (length > zeroes.length) {
      throw new IllegalArgumentException(length + " bytes of zeroes to compare in one frame");
    }
    compare(slot, offset, MemorySegment.ofArray(zeroes).asSlice(0, length));
  }

  /** Ranges come in ascending order, and may begin and end inside a page. */
  private void compare(GuestSlot slot, long offset, MemorySegment expected) {
    MigrationTarget.checkRange(slot, offset, expected.byteSize());
    long pageSize = slot.pageSize();
    for (long at = 0; at < expected.byteSize(); ) {
      long page = (offset + at) / pageSize;
      long end = Math.min(expected.byteSize(), (page + 1) * pageSize - offset);
      long mismatch =
          MemorySegment.mismatch(expected, at, end, slot.ram(), offset + at, offset + end);
      if ((offset + end) % pageSize == 0) {
        pages++;
      }
      if (mismatch >= 0 && (page != lastDifferingPage || slot.id() != lastDifferingSlot)) {
        differing++;
        lastDifferingPage = page;
        lastDifferingSlot = slot.id();
        if (first.size() < Comparison.SHOWN) {
          first.add(slot.guestAddress() + offset + at + mismatch);
        }
      }
      at = end;
    }
  }

  Comparison result() {
    return new Comparison(pages, differing, List.copyOf(first));
  }
}
