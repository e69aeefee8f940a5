package dev.smudge.core;

import dev.smudge.sync.LogSlot;
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

  /** Whether the embedder has granted native access, so that asking for it prints no warning. */
  private static final boolean RAW = Vcpu.class.getModule().isNativeAccessEnabled();

  /** All memory, for slots over RAM of our own: nothing unmaps it while a cursor points there. */
  private static final MemorySegment ALL = RAW ? everything() : MemorySegment.NULL;

  /**
   * The page cursor follows one store of 128, by its address: a guest that writes at random would
   * fill the store buffer with cursors, one that writes in sequence gets it at once.
   */
  private static final long CURSOR_SAMPLE = 0x3f8;

  private final GuestMemory memory;
  private final LogVcpu log;
  private final Runnable armCallback;

  // The write cursor: the slot of the last write, and its page. Dropped at a safepoint when pages
  // were
  // armed, and when the vCPU goes offline. Span: how many offsets an access of 8 bytes may have, 0
  // if
  // there is no slot, or no page.
  private SlotMap map = SlotMap.EMPTY; // in which the slot was found
  private GuestSlot slot = GuestSlot.NONE;
  private long base;
  private long span;
  private long pageStart; // a page of the slot that was seen marked: writes to it need no mark
  private long pageSpan;
  private long pageEnd;
  private int pageShift;
  private LogSlot logSlot = GuestSlot.NONE.log;
  private MemorySegment ram = MemorySegment.NULL;
  private long rawRam; // address of the RAM, 0 if it is reached through the segment

  // The read cursor.
  private SlotMap readMap = SlotMap.EMPTY;
  private GuestSlot readSlot = GuestSlot.NONE;
  private long readBase;
  private long readSpan;
  private MemorySegment readRam = MemorySegment.NULL;
  private long rawReadRam;

  @SuppressWarnings("this-escape") // the callback runs on the vCPU's thread, later
  Vcpu(GuestMemory memory, Runnable armCallback) {
    this.memory = memory;
    this.armCallback = armCallback;
    this.log = memory.log().addVcpu(this::pagesArmed);
  }

  @SuppressWarnings("restricted") // granted: see RAW
  private static MemorySegment everything() {
    return MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  }

  private void pagesArmed() {
    dropPage();
    SlotMap now = memory.map(); // C2
    boolean changed =
        (slot != GuestSlot.NONE && map != now) || (readSlot != GuestSlot.NONE && readMap != now);
    if (changed || memory.isSealedOrClosed()) {
      dropCursors(); // the next access takes the slow path, and finds the slot of now or is refused
    }
    armCallback.run();
  }

  private void dropCursors() {
    slot = GuestSlot.NONE;
    span = 0;
    dropPage();
    readSlot = GuestSlot.NONE;
    readSpan = 0;
  }

  /** Whether an access of at most 8 bytes at this offset of the slot needs no mark. */
  private boolean isInMarkedPage(long offset) {
    return Long.compareUnsigned(offset - pageStart, pageSpan) < 0;
  }

  /**
   * The offset in the cursor's slot of a write of at most 8 bytes; moves the cursor if it has to.
   */
  private long locate(long address, int length) {
    long offset = address - base;
    return Long.compareUnsigned(offset, span) < 0 ? offset : moveCursor(address, length);
  }

  /** As {@link #locate}, for any length. */
  private long locateRange(long address, long length) {
    long offset = address - base;
    // An access of no bytes has to begin inside, too; in NONE nothing does.
    return offset >= 0 && length >= 0 && offset <= slot.size - Math.max(length, 1)
        ? offset
        : moveCursor(address, length);
  }

  private long moveCursor(long address, long length) {
    log.online(); // from here on a barrier waits for this vCPU, and close() too
    SlotMap now = memory.openMap();
    GuestSlot found = now.find(address, length);
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
    map = now;
    slot = found;
    base = found.guestAddress;
    span = found.size - 7;
    dropPage();
    pageShift = found.log.pageShift();
    logSlot = found.log;
    ram = found.ram;
    rawRam = RAW ? found.rawAddress : 0;
    return address - base;
  }

  // The methods of the store path are small, so that they are inlined also where they are not hot.

  /** Marks what was written outside the cursor's page. */
  private void marked(long offset, int length) {
    if (isUnmarked(offset, length)) {
      log.mark(logSlot, offset, length);
    } else if ((offset & CURSOR_SAMPLE) == 0) {
      moveToPage(offset);
    }
  }

  /** Marks what a bulk write has written. */
  private void markedRange(long offset, long length) {
    if (offset < pageStart || offset + length > pageEnd) {
      markRange(offset, length);
    }
  }

  private void markRange(long offset, long length) {
    log.mark(logSlot, offset, length);
    if (length > 0 && (offset & CURSOR_SAMPLE) == 0) {
      moveToPage(offset);
    }
  }

  private boolean isUnmarked(long offset, int length) {
    long page = offset >>> pageShift;
    return (offset + length - 1) >>> pageShift != page || !logSlot.isMarked(page);
  }

  private void moveToPage(long offset) {
    pageStart = offset & (-1L << pageShift);
    pageSpan = (1L << pageShift) - 7;
    pageEnd = pageStart + (1L << pageShift);
  }

  private void dropPage() {
    pageSpan = 0;
    pageEnd = 0;
  }

  private void setByte(long offset, byte value) {
    if (RAW && rawRam != 0) {
      ALL.set(ValueLayout.JAVA_BYTE, rawRam + offset, value);
    } else {
      ram.set(ValueLayout.JAVA_BYTE, offset, value);
    }
  }

  private void setShort(long offset, short value) {
    if (RAW && rawRam != 0) {
      ALL.set(SHORT, rawRam + offset, value);
    } else {
      ram.set(SHORT, offset, value);
    }
  }

  private void setShortBe(long offset, short value) {
    if (RAW && rawRam != 0) {
      ALL.set(SHORT_BE, rawRam + offset, value);
    } else {
      ram.set(SHORT_BE, offset, value);
    }
  }

  private void setInt(long offset, int value) {
    if (RAW && rawRam != 0) {
      ALL.set(INT, rawRam + offset, value);
    } else {
      ram.set(INT, offset, value);
    }
  }

  private void setIntBe(long offset, int value) {
    if (RAW && rawRam != 0) {
      ALL.set(INT_BE, rawRam + offset, value);
    } else {
      ram.set(INT_BE, offset, value);
    }
  }

  private void setLong(long offset, long value) {
    if (RAW && rawRam != 0) {
      ALL.set(LONG, rawRam + offset, value);
    } else {
      ram.set(LONG, offset, value);
    }
  }

  private void setLongBe(long offset, long value) {
    if (RAW && rawRam != 0) {
      ALL.set(LONG_BE, rawRam + offset, value);
    } else {
      ram.set(LONG_BE, offset, value);
    }
  }

  private void setFloat(long offset, float value) {
    if (RAW && rawRam != 0) {
      ALL.set(FLOAT, rawRam + offset, value);
    } else {
      ram.set(FLOAT, offset, value);
    }
  }

  private void setFloatBe(long offset, float value) {
    if (RAW && rawRam != 0) {
      ALL.set(FLOAT_BE, rawRam + offset, value);
    } else {
      ram.set(FLOAT_BE, offset, value);
    }
  }

  private void setDouble(long offset, double value) {
    if (RAW && rawRam != 0) {
      ALL.set(DOUBLE, rawRam + offset, value);
    } else {
      ram.set(DOUBLE, offset, value);
    }
  }

  private void setDoubleBe(long offset, double value) {
    if (RAW && rawRam != 0) {
      ALL.set(DOUBLE_BE, rawRam + offset, value);
    } else {
      ram.set(DOUBLE_BE, offset, value);
    }
  }

  private long locateRead(long address, int length) {
    long offset = address - readBase;
    return Long.compareUnsigned(offset, readSpan) < 0 ? offset : moveReadCursor(address, length);
  }

  private long locateReadRange(long address, long length) {
    long offset = address - readBase;
    return offset >= 0 && length >= 0 && offset <= readSlot.size - Math.max(length, 1)
        ? offset
        : moveReadCursor(address, length);
  }

  private long moveReadCursor(long address, long length) {
    log.online();
    SlotMap now = memory.openMap();
    GuestSlot found = now.find(address, length);
    readMap = now;
    readSlot = found;
    readBase = found.guestAddress;
    readSpan = found.size - 7;
    readRam = found.ram;
    rawReadRam = RAW ? found.rawAddress : 0;
    return address - readBase;
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
    long offset = locate(address, 1);
    setByte(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 1);
    }
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
    long offset = locate(address, 2);
    setShort(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 2);
    }
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
    long offset = locate(address, 2);
    setShortBe(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 2);
    }
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
    long offset = locate(address, 4);
    setInt(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 4);
    }
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
    long offset = locate(address, 4);
    setIntBe(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 4);
    }
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
    long offset = locate(address, 8);
    setLong(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 8);
    }
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
    long offset = locate(address, 8);
    setLongBe(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 8);
    }
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
    long offset = locate(address, 4);
    setFloat(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 4);
    }
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
    long offset = locate(address, 4);
    setFloatBe(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 4);
    }
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
    long offset = locate(address, 8);
    setDouble(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 8);
    }
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
    long offset = locate(address, 8);
    setDoubleBe(offset, value);
    if (!isInMarkedPage(offset)) {
      marked(offset, 8);
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
    long offset = locateRead(address, 1);
    return RAW && rawReadRam != 0
        ? ALL.get(ValueLayout.JAVA_BYTE, rawReadRam + offset)
        : readRam.get(ValueLayout.JAVA_BYTE, offset);
  }

  /**
   * Reads two bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShort(long address) {
    long offset = locateRead(address, 2);
    return RAW && rawReadRam != 0
        ? ALL.get(SHORT, rawReadRam + offset)
        : readRam.get(SHORT, offset);
  }

  /**
   * Reads two bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShortBe(long address) {
    long offset = locateRead(address, 2);
    return RAW && rawReadRam != 0
        ? ALL.get(SHORT_BE, rawReadRam + offset)
        : readRam.get(SHORT_BE, offset);
  }

  /**
   * Reads four bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getInt(long address) {
    long offset = locateRead(address, 4);
    return RAW && rawReadRam != 0 ? ALL.get(INT, rawReadRam + offset) : readRam.get(INT, offset);
  }

  /**
   * Reads four bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getIntBe(long address) {
    long offset = locateRead(address, 4);
    return RAW && rawReadRam != 0
        ? ALL.get(INT_BE, rawReadRam + offset)
        : readRam.get(INT_BE, offset);
  }

  /**
   * Reads eight bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLong(long address) {
    long offset = locateRead(address, 8);
    return RAW && rawReadRam != 0 ? ALL.get(LONG, rawReadRam + offset) : readRam.get(LONG, offset);
  }

  /**
   * Reads eight bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLongBe(long address) {
    long offset = locateRead(address, 8);
    return RAW && rawReadRam != 0
        ? ALL.get(LONG_BE, rawReadRam + offset)
        : readRam.get(LONG_BE, offset);
  }

  /**
   * Reads four bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public float getFloat(long address) {
    long offset = locateRead(address, 4);
    return RAW && rawReadRam != 0
        ? ALL.get(FLOAT, rawReadRam + offset)
        : readRam.get(FLOAT, offset);
  }

  /**
   * Reads four bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public float getFloatBe(long address) {
    long offset = locateRead(address, 4);
    return RAW && rawReadRam != 0
        ? ALL.get(FLOAT_BE, rawReadRam + offset)
        : readRam.get(FLOAT_BE, offset);
  }

  /**
   * Reads eight bytes, little-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public double getDouble(long address) {
    long offset = locateRead(address, 8);
    return RAW && rawReadRam != 0
        ? ALL.get(DOUBLE, rawReadRam + offset)
        : readRam.get(DOUBLE, offset);
  }

  /**
   * Reads eight bytes, big-endian. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public double getDoubleBe(long address) {
    long offset = locateRead(address, 8);
    return RAW && rawReadRam != 0
        ? ALL.get(DOUBLE_BE, rawReadRam + offset)
        : readRam.get(DOUBLE_BE, offset);
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
    long offset = locateRange(address, length);
    try {
      MemorySegment.copy(source, 0, ram, offset, length);
      markedRange(offset, length);
    } catch (Throwable e) {
      markedRange(
          offset, length); // what landed before a fault, which may come as late as in the mark
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
    long offset = locateRange(address, length);
    try {
      MemorySegment.copy(source, from, ram, ValueLayout.JAVA_BYTE, offset, length);
      markedRange(offset, length);
    } catch (Throwable e) {
      markedRange(
          offset, length); // what landed before a fault, which may come as late as in the mark
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
    long offset = locateReadRange(address, length);
    MemorySegment.copy(readRam, offset, target, 0, length);
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
    long offset = locateReadRange(address, length);
    MemorySegment.copy(readRam, ValueLayout.JAVA_BYTE, offset, target, to, length);
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
    long offset = locateRange(address, length);
    try {
      ram.asSlice(offset, length).fill(value);
      markedRange(offset, length);
    } catch (Throwable e) {
      markedRange(
          offset, length); // what landed before a fault, which may come as late as in the mark
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
    long source = locateReadRange(from, length);
    long offset = locateRange(to, length);
    try {
      MemorySegment.copy(readRam, source, ram, offset, length);
      markedRange(offset, length);
    } catch (Throwable e) {
      markedRange(
          offset, length); // what landed before a fault, which may come as late as in the mark
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
      memory.device().mark(address, length); // the store was made all the same
      throw e;
    }
    GuestSlot written = memory.find(address, length);
    log.mark(written.log, address - written.guestAddress, length);
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
    if (write) {
      locate(address, width);
      return slot;
    }
    locateRead(address, width);
    return readSlot;
  }

  void markWritten(GuestSlot written, long offset, long length) {
    log.mark(written.log, offset, length);
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
