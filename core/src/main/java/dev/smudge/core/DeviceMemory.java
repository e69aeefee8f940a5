package dev.smudge.core;

import dev.smudge.sync.SealedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Guest memory for writers that are no vCPU: device models, DMA, loaders. From any thread, without
 * registration or safepoints; several at once. Every write marks what it wrote, after it has
 * landed, with an atomic OR a 64 pages; after return the next sync finds it. Source: design 3.2;
 * Linux 2efd61a608b0.
 *
 * <p>An access outside every slot, or across a slot's end, is a {@link GuestAccessException};
 * nothing is written then. After {@link GuestMemory#seal} writes are refused with {@link
 * SealedException}.
 */
public final class DeviceMemory {
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final GuestMemory memory;

  DeviceMemory(GuestMemory memory) {
    this.memory = memory;
  }

  private GuestSlot writable(long address, long length) {
    GuestSlot slot = memory.find(address, length);
    if (memory.log().isSealed()) {
      throw new SealedException(
          "a device write of "
              + length
              + " bytes to guest address 0x"
              + Long.toHexString(address)
              + " came after seal()");
    }
    return slot;
  }

  void markWritten(GuestSlot slot, long offset, long length) {
    memory.log().mark(slot.log, offset, length);
  }

  /**
   * Writes bytes.
   *
   * @param address guest address of the first
   * @param source what to write
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void write(long address, MemorySegment source) {
    long length = source.byteSize();
    GuestSlot slot = writable(address, length);
    long offset = address - slot.guestAddress;
    try {
      MemorySegment.copy(source, 0, slot.ram, offset, length);
      markWritten(slot, offset, length);
    } catch (Throwable e) {
      markWritten(
          slot, offset,
          length); // what landed before a fault, which may come as late as in the mark
      throw e;
    }
  }

  /**
   * Writes bytes.
   *
   * @param address guest address of the first
   * @param source what to write, all of it
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void write(long address, byte[] source) {
    write(address, MemorySegment.ofArray(source));
  }

  /**
   * Writes one byte.
   *
   * @param address guest address
   * @param value the byte
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putByte(long address, byte value) {
    GuestSlot slot = writable(address, 1);
    slot.ram.set(ValueLayout.JAVA_BYTE, address - slot.guestAddress, value);
    markWritten(slot, address - slot.guestAddress, 1);
  }

  /**
   * Writes four bytes, little-endian.
   *
   * @param address guest address; need not be aligned
   * @param value the value; {@link Integer#reverseBytes} makes it big-endian
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putInt(long address, int value) {
    GuestSlot slot = writable(address, 4);
    slot.ram.set(INT, address - slot.guestAddress, value);
    markWritten(slot, address - slot.guestAddress, 4);
  }

  /**
   * Writes eight bytes, little-endian.
   *
   * @param address guest address; need not be aligned
   * @param value the value; {@link Long#reverseBytes} makes it big-endian
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putLong(long address, long value) {
    GuestSlot slot = writable(address, 8);
    slot.ram.set(LONG, address - slot.guestAddress, value);
    markWritten(slot, address - slot.guestAddress, 8);
  }

  /**
   * Sets bytes to one value.
   *
   * @param address guest address of the first
   * @param length bytes, 0 or more
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void fill(long address, long length, byte value) {
    GuestSlot slot = writable(address, length);
    long offset = address - slot.guestAddress;
    try {
      slot.ram.asSlice(offset, length).fill(value);
      markWritten(slot, offset, length);
    } catch (Throwable e) {
      markWritten(
          slot, offset,
          length); // what landed before a fault, which may come as late as in the mark
      throw e;
    }
  }

  /**
   * Begins a write that lands later.
   *
   * @param address guest address of its first byte
   * @param length bytes, 0 or more
   * @return the token: its target takes the bytes, its {@code close} marks them
   * @throws GuestAccessException see the class comment
   * @throws SealedException after {@link GuestMemory#seal}
   */
  public AsyncWrite beginWrite(long address, long length) {
    GuestSlot slot = writable(address, length);
    return new AsyncWrite(this, slot, address - slot.guestAddress, length);
  }

  /**
   * Marks what was written to {@link GuestSlot#ram} by other means. Call it after the write has
   * landed.
   *
   * @param address guest address of the first byte
   * @param length bytes, 0 or more
   * @throws GuestAccessException see the class comment; nothing is marked
   */
  public void mark(long address, long length) {
    GuestSlot slot = memory.find(address, length);
    markWritten(slot, address - slot.guestAddress, length);
  }

  /**
   * Reads bytes. Not tracked.
   *
   * @param address guest address of the first
   * @param target where they go, all of it
   * @throws GuestAccessException see the class comment; nothing is read
   */
  public void read(long address, MemorySegment target) {
    long length = target.byteSize();
    GuestSlot slot = memory.find(address, length);
    MemorySegment.copy(slot.ram, address - slot.guestAddress, target, 0, length);
  }
}
