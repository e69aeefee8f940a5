package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.ram.SparseRam;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A write that lands later (DMA, asynchronous I/O): it is marked when it has landed, not when it is
 * started, so that no collection in between spends the mark (docs/bugs.md row 22). Any thread may
 * end it.
 *
 * <p>It lives across changes of the slots, and keeps RAM of our own mapped. What it marks is the
 * memory that it wrote: in the slots that are over it by then, wherever they are, else in the
 * {@link dev.smudge.sync.RemovedSlot} of whoever removed it, if that is open still; else nobody
 * hears of it.
 */
public final class AsyncWrite implements AutoCloseable {
  private final AddressSpace space;
  private final MappedSlot slot;
  private final long offset;
  private final long length;
  private final MemorySegment target;
  private final SparseRam.@Nullable Pin pin;

  /** In a read-side section in which the slot was found. */
  AsyncWrite(AddressSpace space, MappedSlot slot, long offset, long length) {
    this.space = space;
    this.slot = slot;
    this.offset = offset;
    this.length = length;
    this.pin = slot.pin(offset, length);
    this.target = pin == null ? slot.ram.asSlice(offset, length) : pin.segment();
  }

  /** {@return where the bytes go: guest RAM; not to be used after {@link #close}} */
  public MemorySegment target() {
    return target;
  }

  /**
   * Says that the write has landed, or has failed after some of it may have: marks all of its
   * pages. Each call marks again.
   */
  @Override
  public void close() {
    try {
      mark();
    } catch (InternalError e) {
      mark(); // a fault of the write itself came late
      throw e;
    } finally {
      if (pin != null) {
        pin.release();
      }
    }
  }

  private void mark() {
    if (length > 0) {
      space.markLanded(slot, offset, length);
    }
  }
}
