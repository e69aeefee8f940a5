package dev.smudge.core;

import java.lang.foreign.MemorySegment;

/**
 * A write that lands later (DMA, asynchronous I/O): it is marked when it has landed, not when it is
 * started, so that no collection in between spends the mark (catalogue 22). Any thread may end it.
 */
public final class AsyncWrite implements AutoCloseable {
  private final DeviceMemory device;
  private final GuestSlot slot;
  private final long offset;
  private final MemorySegment target;

  AsyncWrite(DeviceMemory device, GuestSlot slot, long offset, long length) {
    this.device = device;
    this.slot = slot;
    this.offset = offset;
    this.target = slot.ram.asSlice(offset, length);
  }

  /** {@return where the bytes go: guest RAM} */
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
      device.markWritten(slot, offset, target.byteSize());
    } catch (InternalError e) {
      device.markWritten(slot, offset, target.byteSize()); // a fault of the write itself came late
      throw e;
    }
  }
}
