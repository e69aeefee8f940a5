package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.DeviceGate;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.core.internal.map.SlotMap.PartConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.embed.Doubt;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.rcu.RcuReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * Guest memory for writers without a vCPU: device models, DMA, loaders. From any thread, without
 * registration or safepoints; several at once. Every write marks its pages after it has landed,
 * with one atomic OR per 64 pages; after return the next take finds it. Each call is one read-side
 * section ({@link Rcu}), from the look-up of the slot to the mark: a {@link SlotTransaction} waits
 * for it. Values are in the byte order of the memory; addresses need not be aligned, and an access
 * may cross the border of adjoining slots. Reads are not tracked.
 *
 * <p>An access that is not entirely in slots is a {@link GuestAccessException}; nothing is written
 * then. After {@link GuestMemory#seal} writes are refused with {@link SealedException} before they
 * touch RAM. During {@link GuestMemory#pauseAll} every write waits, except those of the thread that
 * holds the pause; one inside a call under the collector lock, by a tracker or by the error
 * handler, is refused then with {@link IllegalStateException}, because that thread may need the
 * lock. If a write throws anything else, even an {@link Error}, the bytes that have landed are
 * marked, or, where no mark was possible, every page is.
 *
 * <p>Source: docs/design.md 3.2; Linux 2efd61a608b0.
 */
@SuppressWarnings("Finally") // what is thrown there has the same cause: the stack has ended
public final class DeviceMemory {
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final AddressSpace space;
  private final Rcu rcu;
  private final DeviceGate gate;
  private final Doubt doubt;
  private final boolean bigEndian;

  DeviceMemory(AddressSpace space, ByteOrder order) {
    this.space = space;
    this.rcu = space.log().rcu();
    this.gate = space.gate();
    this.doubt = space.doubt();
    this.bigEndian = order == ByteOrder.BIG_ENDIAN;
  }

  // Each section is left by code that stands in its own finally block, five times: a method for it
  // would be a call that finds no stack where the section has used up the last, and leaves nothing.

  private SlotMap mapFor(long address, long length) {
    SlotMap map = space.openMap();
    if (!map.covers(address, length)) {
      throw GuestAccessException.notFound(map, address, length);
    }
    return map;
  }

  private SlotMap mapForWrite(long address, long length) {
    SlotMap map = mapFor(address, length);
    if (space.log().isSealed()) {
      throw new SealedException(
          "a device write of "
              + length
              + " bytes to guest address 0x"
              + Long.toHexString(address)
              + " came after seal()");
    }
    return map;
  }

  /**
   * One write, and after it the mark of what has landed, also before a fault. A check of all parts
   * comes first, where there is one, and refuses by an exception. Watches are told at the end.
   * Where the mark itself fails, because the stack has ended or a client was closed meanwhile, the
   * memory is in doubt: every page is dirty.
   */
  private void write(
      long address,
      long length,
      @Nullable PartConsumer check,
      PartConsumer part,
      PartConsumer mark) {
    SlotMap map;
    RcuReader section = gate.enter();
    try {
      map = mapForWrite(address, length);
      if (check != null) {
        map.forEachPart(address, length, check);
      }
      boolean marked = false;
      try {
        map.forEachPart(address, length, part);
      } finally {
        try {
          map.forEachPart(address, length, mark);
          marked = true;
        } finally {
          if (!marked) {
            doubt.set = true; // H4
          }
        }
      }
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
    map.tellWatches(address, length);
  }

  private void markOnly(MappedSlot slot, long offset, long done, long length) {
    space.embedded().markOnly(rcu.reader(), slot.log, offset, length);
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
    write(address, Segments.size(source, "source"), null, new Writer(source), this::markOnly);
  }

  /**
   * Writes bytes as a client that knows them: a restore, a rewind, the destination of a migration.
   * The pages become dirty for every other client, and stay as they are for this one; see {@link
   * DirtyClient#markForOthers}. Takes the log's lock: for pages, not for single bytes.
   *
   * @param client client of this memory
   * @param address guest address of the first
   * @param source what to write, all of it; it may be guest RAM, and overlap the target
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   * @throws IllegalArgumentException if the client is another memory's; nothing is written
   * @throws IllegalStateException if the client is closed: before the write, and nothing is
   *     written; or during it, and every page is dirty for all
   */
  public void writeAs(DirtyClient<GuestSlot> client, long address, MemorySegment source) {
    write(
        address,
        Segments.size(source, "source"),
        (slot, offset, done, length) -> EmbeddedLog.checkMayMark(client, GuestSlot.of(slot)),
        new Writer(source),
        (slot, offset, done, length) ->
            EmbeddedLog.markForOthersOnly(client, GuestSlot.of(slot), offset, length));
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
    write(address, length, null, new Filler(value), this::markOnly);
  }

  /**
   * Frees RAM that the guest does not need (a balloon, free page reporting). The bytes become zero,
   * and their pages dirty for every client. Smudge's own RAM, if native access is granted, is not
   * committed after that; other RAM is only zeroed. A page that is written again is committed
   * again.
   *
   * @param address guest address of the first byte; it need not be aligned, but only the memory of
   *     whole pages is freed
   * @param length bytes, 0 or more
   * @throws GuestAccessException see the class comment; nothing is written
   * @throws SealedException after {@link GuestMemory#seal}; nothing is written
   */
  public void release(long address, long length) {
    write(
        address,
        length,
        null,
        (slot, offset, done, count) -> slot.release(offset, count),
        this::markOnly);
  }

  /** Writes the low bytes of a value, little-endian. */
  private void put(long address, int width, long value) {
    MappedSlot slot;
    boolean watched = false;
    RcuReader section = gate.enter();
    try {
      slot = space.openMap().find(address, width);
      if (slot != null && !space.log().isSealed()) {
        long offset = address - slot.base;
        boolean marked = false;
        try {
          slot.set(offset, width, value);
        } finally {
          try {
            watched = space.embedded().markOnly(section, slot.log, offset, width);
            marked = true;
          } finally {
            if (!marked) {
              doubt.set = true; // H4
            }
          }
        }
      } else {
        slot = null;
      }
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
    if (slot != null) {
      if (watched) {
        EmbeddedLog.tellWatches(slot.log, address - slot.base, width);
      }
      return;
    }
    byte[] bytes = new byte[Long.BYTES];
    MemorySegment all = MemorySegment.ofArray(bytes);
    all.set(LONG, 0, value);
    write(address, all.asSlice(0, width)); // over a border, or refused
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
    put(address, 1, value);
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
    put(address, 2, bigEndian ? Short.reverseBytes(value) : value);
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
    put(address, 4, bigEndian ? Integer.reverseBytes(value) : value);
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
    put(address, 8, bigEndian ? Long.reverseBytes(value) : value);
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
    RcuReader section = rcu.reader();
    section.enter();
    try {
      AsyncWrite write = new AsyncWrite(space, mapForWrite(address, length), address, length);
      boolean begun = false;
      try {
        space.begun(write.pending());
        begun = true;
      } finally {
        if (!begun) {
          write.abandon(); // it keeps RAM mapped
        }
      }
      return write;
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }

  /**
   * Marks a write to {@link GuestSlot#ram} that was made by other means. Call it after the write
   * has landed.
   *
   * @param address guest address of the first byte
   * @param length bytes, 0 or more
   * @throws GuestAccessException see the class comment; nothing is marked
   */
  public void mark(long address, long length) {
    inSection(address, length, (map, from, count) -> map.forEachPart(from, count, this::markOnly))
        .tellWatches(address, length);
  }

  /** What an access does that needs no more than the map. */
  private interface MapAccess {
    void with(SlotMap map, long address, long length);
  }

  /** {@return the map of the access, which is all in slots} */
  private SlotMap inSection(long address, long length, MapAccess access) {
    RcuReader section = rcu.reader();
    section.enter();
    try {
      SlotMap map = mapFor(address, length);
      access.with(map, address, length);
      return map;
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }

  /**
   * Reads bytes.
   *
   * @param address guest address of the first
   * @param target where they go, all of it; it may be guest RAM, and overlap what is read
   * @throws GuestAccessException see the class comment; nothing is read
   */
  public void read(long address, MemorySegment target) {
    inSection(
        address, Segments.size(target, "target"), (map, from, length) -> map.read(from, target));
  }

  /** Reads a value, little-endian and zero-extended. */
  private long get(long address, int width) {
    RcuReader section = rcu.reader();
    section.enter();
    try {
      MappedSlot slot = space.openMap().find(address, width);
      if (slot != null) {
        return slot.get(address - slot.base, width);
      }
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
    MemorySegment all = MemorySegment.ofArray(new byte[Long.BYTES]);
    read(address, all.asSlice(0, width)); // over a border, or refused
    return all.get(LONG, 0);
  }

  /**
   * Reads one byte.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public byte getByte(long address) {
    return (byte) get(address, 1);
  }

  /**
   * Reads two bytes.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public short getShort(long address) {
    short value = (short) get(address, 2);
    return bigEndian ? Short.reverseBytes(value) : value;
  }

  /**
   * Reads four bytes.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public int getInt(long address) {
    int value = (int) get(address, 4);
    return bigEndian ? Integer.reverseBytes(value) : value;
  }

  /**
   * Reads eight bytes.
   *
   * @param address guest address
   * @return the value
   * @throws GuestAccessException see the class comment
   */
  public long getLong(long address) {
    long value = get(address, 8);
    return bigEndian ? Long.reverseBytes(value) : value;
  }
}
