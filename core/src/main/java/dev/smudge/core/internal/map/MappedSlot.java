package dev.smudge.core.internal.map;

import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A slot in the memory map: what belongs together for an access, in one immutable object. A vCPU
 * keeps a reference to it as its cursor, and reads that once per access: so base, span and RAM are
 * always those of one slot.
 *
 * <p>The accessors take offsets in the slot that were checked before, and are little-endian.
 */
public final class MappedSlot {
  /** 2 bytes, little-endian. */
  public static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** 4 bytes, little-endian. */
  public static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** 8 bytes, little-endian. */
  public static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Whether there is RAM that is accessed by its address. */
  public static final boolean RAW = SparseRam.NATIVE;

  /** All memory, for slots over RAM of our own: it stays mapped while a cursor points there. */
  public static final MemorySegment ALL = RAW ? everything() : MemorySegment.NULL;

  /** How many bytes are compared with zero at a time, before they are zeroed. */
  private static final long LOOK_BYTES = 4096;

  /** Stands for no slot: nothing is inside. */
  public static final MappedSlot NONE =
      new MappedSlot(
          SlotPlan.ofSegment(0, 0, MemorySegment.ofArray(new byte[256]), 256),
          MemorySegment.NULL,
          DirtyLog.builder().buildStopped().addSlot(0, 1, 1),
          null,
          slot -> slot);

  /** Guest address of its first byte. */
  public final long base;

  /** Bytes. */
  public final long size;

  /** How many offsets an access of 8 bytes may have; 0 in {@link #NONE}. */
  public final long span;

  /** Log2 of the page size. */
  public final int pageShift;

  /** Its RAM. */
  public final MemorySegment ram;

  /** Its dirty state. */
  public final LogSlot log;

  /** The widest access that can be atomic, 0 if none. */
  public final int atomicWidth;

  /** Address of RAM that stays mapped while this object is reachable; 0: by the segment. */
  private final long raw;

  private final SlotPlan plan;
  private final SparseRam.@Nullable Pin pin; // null: RAM of the embedder's
  private final AtomicInteger holders = new AtomicInteger(1); // the map, and handles of removers
  private final Object handle;

  MappedSlot(
      SlotPlan plan,
      MemorySegment ram,
      LogSlot log,
      SparseRam.@Nullable Pin pin,
      Function<MappedSlot, Object> handle) {
    this.plan = plan;
    this.pin = pin;
    this.base = plan.guestAddress();
    this.ram = ram;
    this.size = ram.byteSize();
    this.span = Math.max(0, size - 7);
    this.log = log;
    this.pageShift = Long.numberOfTrailingZeros(log.pageSize());
    this.raw = pin != null ? pin.address() : 0;
    long alignment = ram.maxByteAlignment();
    this.atomicWidth = alignment >= 8 ? 8 : alignment >= 4 ? 4 : 0;
    this.handle = handle.apply(this);
  }

  @SuppressWarnings("restricted") // granted: see RAW
  private static MemorySegment everything() {
    return MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  }

  /** {@return the numbers it was made of} */
  public SlotPlan plan() {
    return plan;
  }

  /**
   * {@return where its RAM is, Smudge's own or the embedder's: memory that two slots share has the
   * same addresses}
   */
  MemoryOverlaps.MemoryRange addresses() {
    long from = ram.address();
    return new MemoryOverlaps.MemoryRange(SlotPlan.memoryOf(ram), from, from + size);
  }

  /** {@return whether bytes of the memory under it are also some of those under another} */
  @SuppressWarnings("ReferenceEquality") // of one memory
  public boolean shares(
      long offset, long length, MappedSlot other, long otherOffset, long otherLength) {
    long from = plan.memoryOffset() + offset;
    long otherFrom = other.plan.memoryOffset() + otherOffset;
    return plan.memory() == other.plan.memory()
        && from < otherFrom + otherLength
        && otherFrom < from + length;
  }

  /** {@return where its RAM is, if that stays mapped while this object is reachable; else 0} */
  public long address() {
    return RAW ? raw : 0;
  }

  /** {@return what the API hands out for it} */
  public Object handle() {
    return handle;
  }

  /** {@return whether its RAM is ours, not the embedder's} */
  public boolean isOurs() {
    return pin != null;
  }

  /**
   * {@return a part of its RAM that stays mapped until the pin is released; null: it is not ours}
   */
  public SparseRam.@Nullable Pin pin(long offset, long length) {
    return pin == null ? null : pin.pin(offset, length);
  }

  void hold() {
    holders.incrementAndGet();
  }

  /** A user of the slot is done with it; after the last one the RAM can be freed. */
  void release() {
    if (holders.decrementAndGet() == 0 && pin != null) {
      pin.release();
    }
  }

  /**
   * {@return whether an access of at most 8 bytes at this offset is inside; at its end: perhaps}
   */
  public boolean hasWidest(long offset) {
    return Long.compareUnsigned(offset, span) < 0;
  }

  /** {@return its RAM; throws if that was closed} */
  public MemorySegment ram() {
    if (!ram.scope().isAlive()) {
      throw gone(null);
    }
    return ram;
  }

  /** {@return an error that says that its RAM was closed} */
  public IllegalStateException gone(@Nullable IllegalStateException why) {
    return new IllegalStateException(
        "the RAM of "
            + this
            + (pin == null
                ? " was closed: remove the slot, or close the memory, before that"
                : " is gone: the slot was removed, or the memory closed"),
        why);
  }

  // Accessors, but for the stores of a vCPU, which are those of its cursor. Those of RAM that was
  // closed say whose: IllegalStateException of the segment.

  private void setByte(long offset, byte value) {
    if (RAW && raw != 0) {
      ALL.set(ValueLayout.JAVA_BYTE, raw + offset, value);
    } else {
      try {
        ram.set(ValueLayout.JAVA_BYTE, offset, value);
      } catch (IllegalStateException e) {
        throw gone(e);
      }
    }
  }

  private void setShort(long offset, short value) {
    if (RAW && raw != 0) {
      ALL.set(SHORT, raw + offset, value);
    } else {
      try {
        ram.set(SHORT, offset, value);
      } catch (IllegalStateException e) {
        throw gone(e);
      }
    }
  }

  private void setInt(long offset, int value) {
    if (RAW && raw != 0) {
      ALL.set(INT, raw + offset, value);
    } else {
      try {
        ram.set(INT, offset, value);
      } catch (IllegalStateException e) {
        throw gone(e);
      }
    }
  }

  private void setLong(long offset, long value) {
    if (RAW && raw != 0) {
      ALL.set(LONG, raw + offset, value);
    } else {
      try {
        ram.set(LONG, offset, value);
      } catch (IllegalStateException e) {
        throw gone(e);
      }
    }
  }

  /** Reads a byte. */
  public byte getByte(long offset) {
    if (RAW && raw != 0) {
      return ALL.get(ValueLayout.JAVA_BYTE, raw + offset);
    }
    try {
      return ram.get(ValueLayout.JAVA_BYTE, offset);
    } catch (IllegalStateException e) {
      throw gone(e);
    }
  }

  /** Reads 2 bytes. */
  public short getShort(long offset) {
    if (RAW && raw != 0) {
      return ALL.get(SHORT, raw + offset);
    }
    try {
      return ram.get(SHORT, offset);
    } catch (IllegalStateException e) {
      throw gone(e);
    }
  }

  /** Reads 4 bytes. */
  public int getInt(long offset) {
    if (RAW && raw != 0) {
      return ALL.get(INT, raw + offset);
    }
    try {
      return ram.get(INT, offset);
    } catch (IllegalStateException e) {
      throw gone(e);
    }
  }

  /** Reads 8 bytes. */
  public long getLong(long offset) {
    if (RAW && raw != 0) {
      return ALL.get(LONG, raw + offset);
    }
    try {
      return ram.get(LONG, offset);
    } catch (IllegalStateException e) {
      throw gone(e);
    }
  }

  /** Sets bytes. Where zeroes are zero already nothing is stored, which would commit memory. */
  public void fill(long offset, long length, byte value) {
    MemorySegment part = ram().asSlice(offset, length);
    if (value != 0) {
      part.fill(value);
      return;
    }
    for (long done = 0; done < length; done += LOOK_BYTES) {
      MemorySegment some = part.asSlice(done, Math.min(LOOK_BYTES, length - done));
      if (!isZero(some)) {
        some.fill(value);
      }
    }
  }

  /**
   * Whether all bytes are 0. Does not use {@code mismatch}: RAM that faults would end the JVM
   * there, and here it is an error of this access.
   */
  private static boolean isZero(MemorySegment part) {
    long words = part.byteSize() & -Long.BYTES;
    for (long at = 0; at < words; at += Long.BYTES) {
      if (part.get(LONG, at) != 0) {
        return false;
      }
    }
    for (long at = words; at < part.byteSize(); at++) {
      if (part.get(ValueLayout.JAVA_BYTE, at) != 0) {
        return false;
      }
    }
    return true;
  }

  /** Zeroes bytes, and gives the memory of whole pages back if it is Smudge's own. */
  public void release(long offset, long length) {
    if (pin == null) {
      fill(offset, length, (byte) 0);
    } else {
      pin.zero(offset, length);
    }
  }

  /**
   * {@return the first offset from a given one on that may be other than zero; the size if there is
   * none}
   */
  public long nextTouched(long from) {
    return pin == null ? from : pin.nextTouched(from);
  }

  /** Writes the low 1, 2, 4 or 8 bytes of a value. */
  public void set(long offset, int width, long value) {
    switch (width) {
      case 1 -> setByte(offset, (byte) value);
      case 2 -> setShort(offset, (short) value);
      case 4 -> setInt(offset, (int) value);
      default -> setLong(offset, value);
    }
  }

  /** {@return 1, 2, 4 or 8 bytes, zero-extended} */
  public long get(long offset, int width) {
    return switch (width) {
      case 1 -> getByte(offset) & 0xffL;
      case 2 -> getShort(offset) & 0xffffL;
      case 4 -> getInt(offset) & 0xffff_ffffL;
      default -> getLong(offset);
    };
  }

  @Override
  public String toString() {
    return "GuestSlot["
        + log.id()
        + ", 0x"
        + Long.toHexString(base)
        + " + 0x"
        + Long.toHexString(size)
        + ", pages of "
        + log.pageSize()
        + "]";
  }
}
