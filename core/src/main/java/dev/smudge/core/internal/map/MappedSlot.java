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
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Whether the embedder has granted native access, so that asking for it prints no warning. */
  private static final boolean RAW = MappedSlot.class.getModule().isNativeAccessEnabled();

  /** All memory, for slots over RAM of our own: nothing unmaps it while a cursor points there. */
  private static final MemorySegment ALL = RAW ? everything() : MemorySegment.NULL;

  /** Stands for no slot: nothing is inside. */
  public static final MappedSlot NONE =
      new MappedSlot(
          SlotPlan.ofSegment(0, 0, MemorySegment.ofArray(new byte[256]), 256),
          MemorySegment.NULL,
          DirtyLog.createStopped().addSlot(0, 1, 1),
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

  /** Address of RAM that nobody unmaps while a vCPU has a cursor there; 0: by the segment. */
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
    this.raw = RAW && pin != null ? ram.address() : 0;
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

  /** {@return what the API hands out for it} */
  public Object handle() {
    return handle;
  }

  SparseRam.@Nullable Pin pin() {
    return pin;
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

  /** One that used it does not any more; after the last the RAM can go. */
  void release() {
    if (holders.decrementAndGet() == 0 && pin != null) {
      pin.release();
    }
  }

  /** {@return whether {@code length} bytes from an address on are all inside} */
  public boolean contains(long address, long length) {
    long offset = address - base;
    return offset >= 0 && offset < size && length >= 0 && length <= size - offset;
  }

  // Accessors.

  /** Writes a byte. */
  public void setByte(long offset, byte value) {
    if (RAW && raw != 0) {
      ALL.set(ValueLayout.JAVA_BYTE, raw + offset, value);
    } else {
      ram.set(ValueLayout.JAVA_BYTE, offset, value);
    }
  }

  /** Writes 2 bytes. */
  public void setShort(long offset, short value) {
    if (RAW && raw != 0) {
      ALL.set(SHORT, raw + offset, value);
    } else {
      ram.set(SHORT, offset, value);
    }
  }

  /** Writes 4 bytes. */
  public void setInt(long offset, int value) {
    if (RAW && raw != 0) {
      ALL.set(INT, raw + offset, value);
    } else {
      ram.set(INT, offset, value);
    }
  }

  /** Writes 8 bytes. */
  public void setLong(long offset, long value) {
    if (RAW && raw != 0) {
      ALL.set(LONG, raw + offset, value);
    } else {
      ram.set(LONG, offset, value);
    }
  }

  /** Reads a byte. */
  public byte getByte(long offset) {
    return RAW && raw != 0
        ? ALL.get(ValueLayout.JAVA_BYTE, raw + offset)
        : ram.get(ValueLayout.JAVA_BYTE, offset);
  }

  /** Reads 2 bytes. */
  public short getShort(long offset) {
    return RAW && raw != 0 ? ALL.get(SHORT, raw + offset) : ram.get(SHORT, offset);
  }

  /** Reads 4 bytes. */
  public int getInt(long offset) {
    return RAW && raw != 0 ? ALL.get(INT, raw + offset) : ram.get(INT, offset);
  }

  /** Reads 8 bytes. */
  public long getLong(long offset) {
    return RAW && raw != 0 ? ALL.get(LONG, raw + offset) : ram.get(LONG, offset);
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
