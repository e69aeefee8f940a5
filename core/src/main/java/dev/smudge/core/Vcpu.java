package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.SealedException;
import dev.smudge.sync.VcpuException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU of a {@link GuestMemory}: the thread that runs guest code reads and writes guest memory
 * through it. Every way to write marks what it wrote; reads are not tracked.
 *
 * <p>One thread at a time, which calls {@link #safepoint} at the end of every translation block or
 * loop back-edge, and {@link #offline} around what may block; see {@link LogVcpu}. The first access
 * or safepoint brings the vCPU online.
 *
 * <p><b>The store as the safepoint.</b> A guest whose only hook is its memory interface (an
 * interpreter without a callback per block) calls {@code safepoint()} at the entry of each of its
 * stores, where every earlier store is complete, and of its loads, so that a loop without stores
 * does not hold a barrier up; around host calls and waits it is offline.
 *
 * <p>Addresses are guest addresses, aligned or not. An access outside every slot, or across a
 * slot's end, is a {@link GuestAccessException}; nothing is read or written then. After {@link
 * GuestMemory#seal} a write is refused with {@link SealedException} before it touches RAM.
 * Accessors allocate nothing and take no lock. Values are in the byte order of the memory. Source:
 * docs/design.md 3.2.
 */
public final class Vcpu extends VcpuCursors implements AutoCloseable {
  private final boolean bigEndian;

  Vcpu(AddressSpace space, ByteOrder order, Runnable armCallback) {
    super(space, armCallback);
    this.bigEndian = order == ByteOrder.BIG_ENDIAN;
  }

  /**
   * Writes one byte.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putByte(long address, byte value) {
    MappedSlot to = writable(address, 1);
    long offset = address - to.base;
    to.setByte(offset, value);
    if (isOutsideMarkedPage(offset)) {
      marked(to, offset, 1);
    }
  }

  /**
   * Writes two bytes.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putShort(long address, short value) {
    MappedSlot to = writable(address, 2);
    long offset = address - to.base;
    to.setShort(offset, bigEndian ? Short.reverseBytes(value) : value);
    if (isOutsideMarkedPage(offset)) {
      marked(to, offset, 2);
    }
  }

  /**
   * Writes four bytes.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putInt(long address, int value) {
    MappedSlot to = writable(address, 4);
    long offset = address - to.base;
    to.setInt(offset, bigEndian ? Integer.reverseBytes(value) : value);
    if (isOutsideMarkedPage(offset)) {
      marked(to, offset, 4);
    }
  }

  /**
   * Writes eight bytes.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putLong(long address, long value) {
    MappedSlot to = writable(address, 8);
    long offset = address - to.base;
    to.setLong(offset, bigEndian ? Long.reverseBytes(value) : value);
    if (isOutsideMarkedPage(offset)) {
      marked(to, offset, 8);
    }
  }

  /**
   * Reads one byte. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public byte getByte(long address) {
    MappedSlot from = readable(address, 1);
    return from.getByte(address - from.base);
  }

  /**
   * Reads two bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShort(long address) {
    MappedSlot from = readable(address, 2);
    short value = from.getShort(address - from.base);
    return bigEndian ? Short.reverseBytes(value) : value;
  }

  /**
   * Reads four bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getInt(long address) {
    MappedSlot from = readable(address, 4);
    int value = from.getInt(address - from.base);
    return bigEndian ? Integer.reverseBytes(value) : value;
  }

  /**
   * Reads eight bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLong(long address) {
    MappedSlot from = readable(address, 8);
    long value = from.getLong(address - from.base);
    return bigEndian ? Long.reverseBytes(value) : value;
  }

  /**
   * Writes bytes.
   *
   * @param address guest address of the first
   * @param source what to write, all of it
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void write(long address, MemorySegment source) {
    long length = source.byteSize();
    MappedSlot to = writableRange(address, length);
    long offset = address - to.base;
    try {
      MemorySegment.copy(source, 0, to.ram, offset, length);
      markedRange(to, offset, length);
    } catch (Throwable e) {
      // What landed before a fault, which may come as late as in the mark.
      markedRange(to, offset, length);
      throw e;
    }
  }

  /**
   * Writes bytes of an array.
   *
   * @param address guest address of the first
   * @param source where they come from
   * @param from index of the first in the array
   * @param length how many, 0 or more
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws IndexOutOfBoundsException if they are not all in the array; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void write(long address, byte[] source, int from, int length) {
    Objects.checkFromIndexSize(from, length, source.length);
    MappedSlot to = writableRange(address, length);
    long offset = address - to.base;
    try {
      MemorySegment.copy(source, from, to.ram, ValueLayout.JAVA_BYTE, offset, length);
      markedRange(to, offset, length);
    } catch (Throwable e) {
      // What landed before a fault, which may come as late as in the mark.
      markedRange(to, offset, length);
      throw e;
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
    MappedSlot from = readableRange(address, length);
    MemorySegment.copy(from.ram, address - from.base, target, 0, length);
  }

  /**
   * Reads bytes into an array. Not tracked.
   *
   * @param address guest address of the first
   * @param target where they go
   * @param to index of the first in the array
   * @param length how many, 0 or more
   * @throws GuestAccessException see the class comment; nothing is read
   * @throws IndexOutOfBoundsException if they do not all fit into the array; nothing is read
   */
  public void read(long address, byte[] target, int to, int length) {
    Objects.checkFromIndexSize(to, length, target.length);
    MappedSlot from = readableRange(address, length);
    MemorySegment.copy(from.ram, ValueLayout.JAVA_BYTE, address - from.base, target, to, length);
  }

  /**
   * Sets bytes to one value.
   *
   * @param address guest address of the first
   * @param length how many, 0 or more
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void fill(long address, long length, byte value) {
    MappedSlot to = writableRange(address, length);
    long offset = address - to.base;
    try {
      to.ram.asSlice(offset, length).fill(value);
      markedRange(to, offset, length);
    } catch (Throwable e) {
      // What landed before a fault, which may come as late as in the mark.
      markedRange(to, offset, length);
      throw e;
    }
  }

  /**
   * Copies bytes within guest memory, as if through a buffer: the ranges may overlap.
   *
   * @param from guest address of the first to copy
   * @param to guest address of where it goes
   * @param length how many, 0 or more
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void copy(long from, long to, long length) {
    MappedSlot source = readableRange(from, length);
    MappedSlot target = writableRange(to, length);
    long offset = to - target.base;
    try {
      MemorySegment.copy(source.ram, from - source.base, target.ram, offset, length);
      markedRange(target, offset, length);
    } catch (Throwable e) {
      // What landed before a fault, which may come as late as in the mark.
      markedRange(target, offset, length);
      throw e;
    }
  }

  /**
   * Marks what was just written to {@link GuestSlot#ram} by other means: raw pointers, native code.
   * Call it after the write.
   *
   * @param address guest address of the first byte
   * @param length bytes, 0 or more
   * @throws GuestAccessException see the class comment; nothing is marked
   */
  public void mark(long address, long length) {
    try {
      log.online(); // first: it may wait for a pause, in which the slots change
    } catch (VcpuException e) {
      markForeign(address, length); // the store was made all the same
      throw e;
    }
    MappedSlot written = find(address, length);
    log.mark(written.log, address - written.base, length);
  }

  /**
   * Returns the atomics of this vCPU, for guests of several vCPUs, in the byte order of the memory.
   *
   * @return the atomics; keep them
   */
  public VcpuAtomics atomics() {
    return new VcpuAtomics(this, bigEndian);
  }

  /**
   * Says that every write before this is marked, and does what was asked of this vCPU; see {@link
   * LogVcpu#safepoint}. With nothing asked it is one load and one branch.
   *
   * @throws dev.smudge.sync.VcpuException if the vCPU is closed or another thread's
   */
  public void safepoint() {
    log.safepoint();
  }

  /**
   * Brings the vCPU online for the calling thread; see {@link LogVcpu#online}.
   *
   * @throws dev.smudge.sync.VcpuException if the vCPU is closed, or online in another thread
   */
  public void online() {
    log.online();
  }

  /**
   * Takes the vCPU offline, around whatever may block; see {@link LogVcpu#offline}.
   *
   * @throws dev.smudge.sync.VcpuException if it is online in another thread
   */
  public void offline() {
    dropCursors(); // while it is this thread's still; the next access comes online first
    log.offline();
  }

  /**
   * Has the vCPU's thread run a task at its next safepoint; see {@link LogVcpu#runOnVcpu}. From any
   * thread; does not wait.
   *
   * @param task what to run
   * @return done when the task has run
   */
  public CompletableFuture<@Nullable Void> runOnVcpu(Runnable task) {
    return log.runOnVcpu(task);
  }

  /**
   * Limits how much this vCPU makes dirty, by having it wait at its safepoints; see {@link
   * LogVcpu#limitDirtyRate}. From any thread.
   *
   * @param bytesPerSecond more than 0; {@code Long.MAX_VALUE}: no limit
   * @throws IllegalArgumentException if it is not more than 0; nothing is changed
   */
  public void limitDirtyRate(long bytesPerSecond) {
    log.limitDirtyRate(bytesPerSecond);
  }

  /** {@return how many pages this vCPU has made dirty; see {@link LogVcpu#dirtyPages}} */
  public long dirtyPages() {
    return log.dirtyPages();
  }

  /**
   * {@return the vCPU's number: 0 for the first that was added to its memory, then 1, and so on}
   */
  public int index() {
    return log.index();
  }

  /**
   * Takes the vCPU out of its memory; see {@link LogVcpu#close}.
   *
   * @throws dev.smudge.sync.VcpuException if it is online in another, living thread
   */
  @Override
  public void close() {
    log.close();
    dropCursors();
  }

  @Override
  public String toString() {
    return "Vcpu of " + log;
  }
}
