package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.error.SealedException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU of a {@link GuestMemory}: the thread that runs guest code reads and writes guest memory
 * through it. Every write marks its pages; reads are not tracked.
 *
 * <p>It is used by one thread at a time, which calls {@link #safepoint} at the end of every
 * translation block or loop back-edge, and {@link #offline} before anything that may block; see
 * {@link LogVcpu}. The first access or safepoint brings the vCPU online.
 *
 * <p><b>The store as the safepoint.</b> If the memory interface is the guest's only hook (an
 * interpreter without a callback per block), call {@code safepoint()} at the entry of each store,
 * where every earlier store is complete, and of each load, so that a loop without stores does not
 * hold a barrier up. Take the vCPU offline around host calls and waits.
 *
 * <p>Addresses are guest addresses, aligned or not. An access may cross the border of adjoining
 * slots. One that is not entirely in slots is a {@link GuestAccessException}; nothing is read or
 * written then. After {@link GuestMemory#seal} a write is refused with {@link SealedException}
 * before it touches RAM. Accessors take no lock, and allocate nothing but a small object at the
 * first write to each slot since the slots changed. Values are in the byte order of the memory.
 * Source: docs/design.md 3.2.
 */
public final class Vcpu extends VcpuCursors implements AutoCloseable {
  private final VcpuAtomics atomics;

  Vcpu(AddressSpace space, ByteOrder order, Runnable armCallback) {
    super(space, order, armCallback);
    this.atomics = new VcpuAtomics(this, bigEndian); // now: its class is initialized with it
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
    WriteCursor to = writeCursor();
    if (to.isInPage(address)) {
      to.putByte(address, value);
    } else {
      storeOutside(address, 1, value);
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
    WriteCursor to = writeCursor();
    if (to.isInPage(address)) {
      to.putShort(address, value);
    } else {
      storeOutside(address, 2, bigEndian ? Short.reverseBytes(value) : value);
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
    WriteCursor to = writeCursor();
    if (to.isInPage(address)) {
      to.putInt(address, value);
    } else {
      storeOutside(address, 4, bigEndian ? Integer.reverseBytes(value) : value);
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
    WriteCursor to = writeCursor();
    if (to.isInPage(address)) {
      to.putLong(address, value);
    } else {
      storeOutside(address, 8, bigEndian ? Long.reverseBytes(value) : value);
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
    MappedSlot from = readCursor();
    long offset = address - from.base;
    return from.hasWidest(offset) ? from.getByte(offset) : (byte) loadSlowly(address, 1);
  }

  /**
   * Reads two bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShort(long address) {
    MappedSlot from = readCursor();
    long offset = address - from.base;
    short bytes = from.hasWidest(offset) ? from.getShort(offset) : (short) loadSlowly(address, 2);
    return bigEndian ? Short.reverseBytes(bytes) : bytes;
  }

  /**
   * Reads four bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getInt(long address) {
    MappedSlot from = readCursor();
    long offset = address - from.base;
    int bytes = from.hasWidest(offset) ? from.getInt(offset) : (int) loadSlowly(address, 4);
    return bigEndian ? Integer.reverseBytes(bytes) : bytes;
  }

  /**
   * Reads eight bytes. Not tracked.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLong(long address) {
    MappedSlot from = readCursor();
    long offset = address - from.base;
    long bytes = from.hasWidest(offset) ? from.getLong(offset) : loadSlowly(address, 8);
    return bigEndian ? Long.reverseBytes(bytes) : bytes;
  }

  /**
   * Returns whether a slot is in this vCPU's memory, and not in another one. Of any thread; a slot
   * that was removed or changed is in none.
   *
   * @param slot slot
   * @return whether it is there since the last commit
   * @throws NullPointerException if it is null
   */
  public boolean hasSlot(GuestSlot slot) {
    return isCurrent(slot.mapped);
  }

  /**
   * Returns whether an access would be to RAM. An emulator whose devices have registers at guest
   * addresses asks this before the access, because an exception costs microseconds. If the last
   * read was in the same slot, the call costs two compares.
   *
   * @param address guest address
   * @param length bytes, 0 or more
   * @return whether all of it is in slots; true stays true until the next safepoint
   */
  public boolean isRam(long address, long length) {
    return isInReadCursor(address, length) || isCovered(address, length);
  }

  /**
   * Writes bytes.
   *
   * @param address guest address of the first
   * @param source what to write, all of it; it may be guest RAM, and overlap the target
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void write(long address, MemorySegment source) {
    long length = Segments.size(source, "source");
    WriteCursor cursor = writeCursor();
    boolean marked = cursor.isInPage(address, length);
    MappedSlot to = marked ? cursor.slot : writable(address, length);
    if (to == null) {
      writeParts(address, source);
      return;
    }
    long offset = address - to.base;
    boolean watched = !marked && markRange(to, offset, length);
    MemorySegment.copy(source, 0, to.ram(), offset, length);
    if (watched) {
      tellWatches(to, offset, length);
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
    WriteCursor cursor = writeCursor();
    boolean marked = cursor.isInPage(address, length);
    MappedSlot to = marked ? cursor.slot : writable(address, length);
    if (to == null) {
      writeParts(address, MemorySegment.ofArray(source).asSlice(from, length));
      return;
    }
    long offset = address - to.base;
    boolean watched = !marked && markRange(to, offset, length);
    MemorySegment.copy(source, from, to.ram(), ValueLayout.JAVA_BYTE, offset, length);
    if (watched) {
      tellWatches(to, offset, length);
    }
  }

  /**
   * Reads bytes. Not tracked.
   *
   * @param address guest address of the first
   * @param target where they go, all of it; it may be guest RAM, and overlap what is read
   * @throws GuestAccessException see the class comment; nothing is read
   */
  public void read(long address, MemorySegment target) {
    long length = Segments.size(target, "target");
    MappedSlot from = readable(address, length);
    if (from == null) {
      readParts(address, target);
      return;
    }
    MemorySegment.copy(from.ram(), address - from.base, target, 0, length);
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
    MappedSlot from = readable(address, length);
    if (from == null) {
      readParts(address, MemorySegment.ofArray(target).asSlice(to, length));
      return;
    }
    MemorySegment.copy(from.ram(), ValueLayout.JAVA_BYTE, address - from.base, target, to, length);
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
    WriteCursor cursor = writeCursor();
    boolean marked = cursor.isInPage(address, length);
    MappedSlot to = marked ? cursor.slot : writable(address, length);
    if (to == null) {
      fillParts(address, length, value);
      return;
    }
    long offset = address - to.base;
    boolean watched = !marked && markRange(to, offset, length);
    to.fill(offset, length, value);
    if (watched) {
      tellWatches(to, offset, length);
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
    copyParts(from, to, length);
  }

  /**
   * Marks a write to {@link GuestSlot#ram} that was made by other means: raw pointers, native code.
   * Call it after the write.
   *
   * @param address guest address of the first byte
   * @param length bytes, 0 or more
   * @throws GuestAccessException see the class comment; nothing is marked
   */
  public void mark(long address, long length) {
    try {
      log.online(); // first: it may wait for a pause, in which the slots change
    } catch (Throwable e) {
      markForeign(address, length, e); // the store was made all the same
      throw e;
    }
    markWritten(address, length);
  }

  /**
   * Returns a window: a range whose pages are marked once, and that this vCPU then writes raw until
   * its next safepoint at which pages were armed. For inner loops and write TLBs. It marks nothing
   * before {@link WriteWindow#ram}.
   *
   * @param address guest address of its first byte
   * @param length bytes, more than 0, in one slot
   * @return the window; keep it
   * @throws IllegalArgumentException if the length is not more than 0
   */
  public WriteWindow window(long address, long length) {
    if (length <= 0) {
      throw new IllegalArgumentException("length " + length + " is not more than 0");
    }
    return new WriteWindow(this, address, length);
  }

  /**
   * Returns the atomics of this vCPU, for guests of several vCPUs, in the byte order of the memory.
   *
   * @return the atomics, the same each time
   */
  public VcpuAtomics atomics() {
    return atomics;
  }

  /**
   * Declares that every earlier write is complete and marked, and answers pending requests to this
   * vCPU; see {@link LogVcpu#safepoint}. With no request pending it is one load and one branch.
   *
   * @throws dev.smudge.sync.error.VcpuException if the vCPU is closed or another thread's
   */
  public void safepoint() {
    log.safepoint();
  }

  /**
   * Brings the vCPU online for the calling thread; see {@link LogVcpu#online}.
   *
   * @throws dev.smudge.sync.error.VcpuException if the vCPU is closed, or online in another thread
   */
  public void online() {
    log.online();
  }

  /**
   * Takes the vCPU offline, before anything that may block; see {@link LogVcpu#offline}.
   *
   * @throws dev.smudge.sync.error.VcpuException if it is online in another thread
   */
  public void offline() {
    log.offline();
  }

  /**
   * Makes the vCPU's thread run a task at its next safepoint; see {@link LogVcpu#runOnVcpu}. From
   * any thread; does not wait.
   *
   * @param task what to run
   * @return done when the task has run
   */
  public CompletableFuture<@Nullable Void> runOnVcpu(Runnable task) {
    return log.runOnVcpu(task);
  }

  /**
   * Limits how fast this vCPU makes pages dirty: it waits at its safepoints; see {@link
   * LogVcpu#limitDirtyRate}. From any thread.
   *
   * @param bytesPerSecond more than 0; {@code Long.MAX_VALUE}: no limit
   * @throws IllegalArgumentException if it is not more than 0; nothing is changed
   */
  public void limitDirtyRate(long bytesPerSecond) {
    log.limitDirtyRate(bytesPerSecond);
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
   * @throws dev.smudge.sync.error.VcpuException if it is online in another, living thread
   */
  @Override
  public void close() {
    log.close();
  }

  @Override
  public String toString() {
    return "Vcpu of " + log;
  }
}
