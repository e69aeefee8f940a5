package dev.smudge.core;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Where a vCPU writes: a slot, and in it the page that was seen marked. There is one per vCPU and
 * slot, and what says where the RAM is never changes. So a thread that uses a vCPU beside its own
 * thread, which it must not, may lose its writes, but makes none outside the slot.
 *
 * <p>For the stores of a {@link Vcpu}, which looks first whether they need a mark. The methods are
 * small, so that they are inlined also where they are not hot.
 */
final class WriteCursor {
  /**
   * The page follows one store of 128, by its address: a guest that writes at random would fill the
   * store buffer with pages, one that writes in sequence gets it at once.
   */
  static final long SAMPLE = 0x3f8;

  /** In no slot. */
  static final WriteCursor NONE = new WriteCursor(MappedSlot.NONE, false);

  final MappedSlot slot;
  private final MemorySegment ram;
  private final long base;
  private final long raw; // added to a guest address, it is where its RAM is; 0: by the segment
  private final long span; // at how many offsets the bits may be asked; 0 where there are none
  private final int pageShift;
  private final boolean bigEndian;
  private final @Nullable ArmableBitmap bits; // null: the slot needs no marks

  // B1: what was seen set counts until the vCPU's next safepoint (S2), where pagesArmed drops it.
  private long pageStart; // of the page that was seen marked; always an address of the slot
  private long pageBytes; // 0: there is none
  private long pageSpan; // at how many addresses an access of 8 bytes is inside

  WriteCursor(MappedSlot slot, boolean bigEndian) {
    this.slot = slot;
    this.ram = slot.ram;
    this.base = slot.base;
    this.raw = bigEndian || slot.address() == 0 ? 0 : slot.address() - slot.base;
    this.bits = EmbeddedLog.bits(slot.log);
    this.span = bits == null ? 0 : slot.span;
    this.pageShift = slot.pageShift;
    this.bigEndian = bigEndian;
    this.pageStart = base; // a second thread may see the span of a page, and not yet its start
  }

  /** Whether an access of at most 8 bytes is all inside the page that was seen marked. */
  boolean isInPage(long address) {
    return Long.compareUnsigned(address - pageStart, pageSpan) < 0;
  }

  /**
   * Whether an access is all inside a page that needs no mark, by its bit. If not, it may still be:
   * of an access that is not aligned, or by which the page of the cursor is to move.
   *
   * @param width 1, 2, 4 or 8
   */
  @SuppressWarnings("NullAway") // without bits the span is 0
  boolean isMarked(long address, int width) {
    long offset = address - base;
    return Long.compareUnsigned(offset, span) < 0
        && (offset & (width - 1)) == 0
        && (address & SAMPLE) != 0
        && bits.isMarked(offset >>> pageShift);
  }

  /** Whether a range is all inside the page that was seen marked; false of a negative length. */
  boolean isInPage(long address, long length) {
    long offset = address - pageStart;
    long bytes = pageBytes;
    return Long.compareUnsigned(offset, bytes) < 0
        && Long.compareUnsigned(length, bytes - offset) <= 0;
  }

  /** A page of the slot was seen marked. Where none needs a mark, that goes for all of the slot. */
  void moveToPage(long address) {
    if (bits == null) {
      pageStart = base;
      pageBytes = slot.size;
      pageSpan = slot.span;
    } else {
      pageStart = base + (address - base & -1L << pageShift);
      pageBytes = 1L << pageShift;
      pageSpan = pageBytes - 7;
    }
  }

  void dropPage() {
    pageSpan = 0;
    pageBytes = 0;
  }

  // Stores, for which isInPage or isMarked was true. RAM that was closed says whose.

  /** Writes the low bytes of a value, little-endian. */
  void put(long address, int width, long value) {
    slot.set(address - base, width, value);
  }

  void putByte(long address, byte value) {
    if (MappedSlot.RAW && raw != 0) {
      MappedSlot.ALL.set(ValueLayout.JAVA_BYTE, raw + address, value);
    } else {
      try {
        ram.set(ValueLayout.JAVA_BYTE, address - base, value);
      } catch (IllegalStateException e) {
        throw slot.gone(e);
      }
    }
  }

  void putShort(long address, short value) {
    if (MappedSlot.RAW && raw != 0) {
      MappedSlot.ALL.set(MappedSlot.SHORT, raw + address, value);
    } else {
      try {
        ram.set(MappedSlot.SHORT, address - base, bigEndian ? Short.reverseBytes(value) : value);
      } catch (IllegalStateException e) {
        throw slot.gone(e);
      }
    }
  }

  void putInt(long address, int value) {
    if (MappedSlot.RAW && raw != 0) {
      MappedSlot.ALL.set(MappedSlot.INT, raw + address, value);
    } else {
      try {
        ram.set(MappedSlot.INT, address - base, bigEndian ? Integer.reverseBytes(value) : value);
      } catch (IllegalStateException e) {
        throw slot.gone(e);
      }
    }
  }

  void putLong(long address, long value) {
    if (MappedSlot.RAW && raw != 0) {
      MappedSlot.ALL.set(MappedSlot.LONG, raw + address, value);
    } else {
      try {
        ram.set(MappedSlot.LONG, address - base, bigEndian ? Long.reverseBytes(value) : value);
      } catch (IllegalStateException e) {
        throw slot.gone(e);
      }
    }
  }
}
