package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.sync.SealedException;
import dev.smudge.sync.rcu.Rcu;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;

/**
 * Guest memory for writers that are no vCPU: device models, DMA, loaders. From any thread, without
 * registration or safepoints; several at once. Every write marks what it wrote, after it has
 * landed, with one atomic OR per 64 pages; after return the next sync finds it. Each call is one
 * read-side section ({@link Rcu}), from the look-up of the slot to the mark: a {@link
 * SlotTransaction} waits for it. Source: docs/design.md 3.2; Linux 2efd61a608b0.
 *
 * <p>An access outside every slot, or across a slot's end, is a {@link GuestAccessException};
 * nothing is written then. After {@link GuestMemory#seal} writes are refused with {@link
 * SealedException}.
 */
public final class DeviceMemory {
  private final AddressSpace space;
  private final Rcu rcu;
  private final boolean bigEndian;

  DeviceMemory(AddressSpace space, ByteOrder order) {
    this.space = space;
    this.rcu = space.log().rcu();
    this.bigEndian = order == ByteOrder.BIG_ENDIAN;
  }

  private MappedSlot find(long address, long length) {
    SlotMap map = space.openMap();
    MappedSlot slot = map.find(address, length);
    if (slot == null) {
      throw GuestAccessException.notFound(map, address, length);
    }
    return slot;
  }

  private MappedSlot writable(long address, long length) {
    MappedSlot slot = find(address, length);
    if (space.log().isSealed()) {
      throw new SealedException(
          "a device write of "
              + length
              + " bytes to guest address 0x"
              + Long.toHexString(address)
              + " came after seal()");
    }
    return slot;
  }

  private void markWritten(MappedSlot slot, long offset, long length) {
    space.log().mark(slot.log, offset, length);
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
    rcu.enter();
    try {
      write(writable(address, length), address, source);
    } finally {
      rcu.exit();
    }
  }

  private void write(MappedSlot slot, long address, MemorySegment source) {
    long length = source.byteSize();
    long offset = address - slot.base;
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
    rcu.enter();
    try {
      MappedSlot slot = writable(address, 1);
      slot.setByte(address - slot.base, value);
      markWritten(slot, address - slot.base, 1);
    } finally {
      rcu.exit();
    }
  }

  /**
   * Writes four bytes, in the byte order of the memory.
   *
   * @param address guest address; need not be aligned
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putInt(long address, int value) {
    rcu.enter();
    try {
      MappedSlot slot = writable(address, 4);
      slot.setInt(address - slot.base, bigEndian ? Integer.reverseBytes(value) : value);
      markWritten(slot, address - slot.base, 4);
    } finally {
      rcu.exit();
    }
  }

  /**
   * Writes eight bytes, in the byte order of the memory.
   *
   * @param address guest address; need not be aligned
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putLong(long address, long value) {
    rcu.enter();
    try {
      MappedSlot slot = writable(address, 8);
      slot.setLong(address - slot.base, bigEndian ? Long.reverseBytes(value) : value);
      markWritten(slot, address - slot.base, 8);
    } finally {
      rcu.exit();
    }
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
    rcu.enter();
    try {
      fill(writable(address, length), address, length, value);
    } finally {
      rcu.exit();
    }
  }

  private void fill(MappedSlot slot, long address, long length, byte value) {
    long offset = address - slot.base;
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
    rcu.enter();
    try {
      MappedSlot slot = writable(address, length);
      return new AsyncWrite(space, slot, address - slot.base, length);
    } finally {
      rcu.exit();
    }
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
    rcu.enter();
    try {
      MappedSlot slot = find(address, length);
      markWritten(slot, address - slot.base, length);
    } finally {
      rcu.exit();
    }
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
    rcu.enter();
    try {
      MappedSlot slot = find(address, length);
      MemorySegment.copy(slot.ram, address - slot.base, target, 0, length);
    } finally {
      rcu.exit();
    }
  }
}
