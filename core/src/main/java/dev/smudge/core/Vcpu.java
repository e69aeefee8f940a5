package dev.smudge.core;

import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.SealedException;
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
 * loop back-edge, and {@link #offline} around what may block; see {@link LogVcpu}. The first write
 * or safepoint brings the vCPU online.
 *
 * <p><b>The store as the safepoint.</b> A guest whose only hook is its memory interface (an
 * interpreter without a callback a block) calls {@code safepoint()} at the entry of each of its
 * stores, where every earlier store is complete, and of its loads, so that a loop without stores
 * does not hold a barrier up; around host calls and waits it is offline.
 *
 * <p>Addresses are guest addresses, aligned or not. An access outside every slot, or across a
 * slot's end, is a {@link GuestAccessException}; nothing is read or written then. After {@link
 * GuestMemory#seal} a write is refused with {@link SealedException} before it touches RAM.
 * Accessors allocate nothing and take no lock. Values are little-endian; the methods whose name
 * ends in {@code Be} are big-endian. Source: design 3.2.
 */
public final class Vcpu implements AutoCloseable {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT_BE =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT_BE =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG_BE =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT_BE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
  private static final ValueLayout.OfDouble DOUBLE =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble DOUBLE_BE =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

  private final GuestMemory memory;
  private final LogVcpu log;
  private final Runnable armCallback;

  /** The slot of the last write; null if the next write has to look for one. */
  private @Nullable GuestSlot writeSlot;

  /** The slot of the last read. */
  private @Nullable GuestSlot readSlot;

  Vcpu(GuestMemory memory, Runnable armCallback) {
    this.memory = memory;
    this.armCallback = armCallback;
    this.log = memory.log().addVcpu(this::pagesArmed);
  }

  private void pagesArmed() {
    if (memory.log().isSealed()) {
      writeSlot = null; // seal() arms all pages: the next write takes the slow path and is refused
    }
    armCallback.run();
  }

  /** The slot that takes a write of so many bytes. Small, so that it is inlined everywhere. */
  private GuestSlot writable(long address, long length) {
    GuestSlot slot = writeSlot;
    if (slot != null) {
      long offset = address - slot.guestAddress;
      if (offset >= 0 && offset <= slot.size - length) {
        return slot;
      }
    }
    return findWritable(address, length);
  }

  private GuestSlot findWritable(long address, long length) {
    log.online(); // drops nothing that is pending, and binds this thread
    GuestSlot slot = memory.find(address, length);
    if (memory.log().isSealed()) {
      throw new SealedException(
          "a write of "
              + length
              + " bytes to guest address 0x"
              + Long.toHexString(address)
              + " by vCPU "
              + log.index()
              + " came after seal()");
    }
    writeSlot = slot;
    return slot;
  }

  private GuestSlot readable(long address, long length) {
    GuestSlot slot = readSlot;
    if (slot != null) {
      long offset = address - slot.guestAddress;
      if (offset >= 0 && offset <= slot.size - length) {
        return slot;
      }
    }
    slot = memory.find(address, length);
    readSlot = slot;
    return slot;
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
    GuestSlot slot = writable(address, 1);
    long offset = address - slot.guestAddress;
    slot.ram.set(ValueLayout.JAVA_BYTE, offset, value);
    log.mark(slot.log, offset, 1);
  }

  /**
   * Writes two bytes, little-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putShort(long address, short value) {
    GuestSlot slot = writable(address, 2);
    long offset = address - slot.guestAddress;
    slot.ram.set(SHORT, offset, value);
    log.mark(slot.log, offset, 2);
  }

  /**
   * Writes two bytes, big-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putShortBe(long address, short value) {
    GuestSlot slot = writable(address, 2);
    long offset = address - slot.guestAddress;
    slot.ram.set(SHORT_BE, offset, value);
    log.mark(slot.log, offset, 2);
  }

  /**
   * Writes four bytes, little-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putInt(long address, int value) {
    GuestSlot slot = writable(address, 4);
    long offset = address - slot.guestAddress;
    slot.ram.set(INT, offset, value);
    log.mark(slot.log, offset, 4);
  }

  /**
   * Writes four bytes, big-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putIntBe(long address, int value) {
    GuestSlot slot = writable(address, 4);
    long offset = address - slot.guestAddress;
    slot.ram.set(INT_BE, offset, value);
    log.mark(slot.log, offset, 4);
  }

  /**
   * Writes eight bytes, little-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putLong(long address, long value) {
    GuestSlot slot = writable(address, 8);
    long offset = address - slot.guestAddress;
    slot.ram.set(LONG, offset, value);
    log.mark(slot.log, offset, 8);
  }

  /**
   * Writes eight bytes, big-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putLongBe(long address, long value) {
    GuestSlot slot = writable(address, 8);
    long offset = address - slot.guestAddress;
    slot.ram.set(LONG_BE, offset, value);
    log.mark(slot.log, offset, 8);
  }

  /**
   * Writes four bytes, little-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putFloat(long address, float value) {
    GuestSlot slot = writable(address, 4);
    long offset = address - slot.guestAddress;
    slot.ram.set(FLOAT, offset, value);
    log.mark(slot.log, offset, 4);
  }

  /**
   * Writes four bytes, big-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putFloatBe(long address, float value) {
    GuestSlot slot = writable(address, 4);
    long offset = address - slot.guestAddress;
    slot.ram.set(FLOAT_BE, offset, value);
    log.mark(slot.log, offset, 4);
  }

  /**
   * Writes eight bytes, little-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putDouble(long address, double value) {
    GuestSlot slot = writable(address, 8);
    long offset = address - slot.guestAddress;
    slot.ram.set(DOUBLE, offset, value);
    log.mark(slot.log, offset, 8);
  }

  /**
   * Writes eight bytes, big-endian.
   *
   * @param address guest address
   * @param value the value
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void putDoubleBe(long address, double value) {
    GuestSlot slot = writable(address, 8);
    long offset = address - slot.guestAddress;
    slot.ram.set(DOUBLE_BE, offset, value);
    log.mark(slot.log, offset, 8);
  }

  /**
   * Reads one byte. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public byte getByte(long address) {
    GuestSlot slot = readable(address, 1);
    return slot.ram.get(ValueLayout.JAVA_BYTE, address - slot.guestAddress);
  }

  /**
   * Reads two bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShort(long address) {
    GuestSlot slot = readable(address, 2);
    return slot.ram.get(SHORT, address - slot.guestAddress);
  }

  /**
   * Reads two bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShortBe(long address) {
    GuestSlot slot = readable(address, 2);
    return slot.ram.get(SHORT_BE, address - slot.guestAddress);
  }

  /**
   * Reads four bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getInt(long address) {
    GuestSlot slot = readable(address, 4);
    return slot.ram.get(INT, address - slot.guestAddress);
  }

  /**
   * Reads four bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getIntBe(long address) {
    GuestSlot slot = readable(address, 4);
    return slot.ram.get(INT_BE, address - slot.guestAddress);
  }

  /**
   * Reads eight bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLong(long address) {
    GuestSlot slot = readable(address, 8);
    return slot.ram.get(LONG, address - slot.guestAddress);
  }

  /**
   * Reads eight bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLongBe(long address) {
    GuestSlot slot = readable(address, 8);
    return slot.ram.get(LONG_BE, address - slot.guestAddress);
  }

  /**
   * Reads four bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public float getFloat(long address) {
    GuestSlot slot = readable(address, 4);
    return slot.ram.get(FLOAT, address - slot.guestAddress);
  }

  /**
   * Reads four bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public float getFloatBe(long address) {
    GuestSlot slot = readable(address, 4);
    return slot.ram.get(FLOAT_BE, address - slot.guestAddress);
  }

  /**
   * Reads eight bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public double getDouble(long address) {
    GuestSlot slot = readable(address, 8);
    return slot.ram.get(DOUBLE, address - slot.guestAddress);
  }

  /**
   * Reads eight bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public double getDoubleBe(long address) {
    GuestSlot slot = readable(address, 8);
    return slot.ram.get(DOUBLE_BE, address - slot.guestAddress);
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
    GuestSlot slot = writable(address, length);
    long offset = address - slot.guestAddress;
    MemorySegment.copy(source, 0, slot.ram, offset, length);
    log.mark(slot.log, offset, length);
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
    GuestSlot slot = writable(address, length);
    long offset = address - slot.guestAddress;
    MemorySegment.copy(source, from, slot.ram, ValueLayout.JAVA_BYTE, offset, length);
    log.mark(slot.log, offset, length);
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
    GuestSlot slot = readable(address, length);
    MemorySegment.copy(slot.ram, address - slot.guestAddress, target, 0, length);
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
    GuestSlot slot = readable(address, length);
    MemorySegment.copy(
        slot.ram, ValueLayout.JAVA_BYTE, address - slot.guestAddress, target, to, length);
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
    GuestSlot slot = writable(address, length);
    long offset = address - slot.guestAddress;
    slot.ram.asSlice(offset, length).fill(value);
    log.mark(slot.log, offset, length);
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
    GuestSlot source = readable(from, length);
    GuestSlot slot = writable(to, length);
    long offset = to - slot.guestAddress;
    MemorySegment.copy(source.ram, from - source.guestAddress, slot.ram, offset, length);
    log.mark(slot.log, offset, length);
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
    GuestSlot slot = memory.find(address, length);
    log.mark(slot.log, address - slot.guestAddress, length);
  }

  /**
   * Returns the atomics of this vCPU, for guests of several vCPUs.
   *
   * @param order the guest's byte order
   * @return the atomics; keep them
   */
  public VcpuAtomics atomics(ByteOrder order) {
    return new VcpuAtomics(this, order);
  }

  /** The slot for an atomic access; {@code write} if it may write. */
  GuestSlot atomicSlot(long address, int width, boolean write) {
    return write ? writable(address, width) : readable(address, width);
  }

  void markWritten(GuestSlot slot, long offset, long length) {
    log.mark(slot.log, offset, length);
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
    log.offline();
    writeSlot = null; // the next write comes online first
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
    writeSlot = null;
  }

  @Override
  public String toString() {
    return "Vcpu of " + log;
  }
}
