package dev.smudge.core;

import dev.smudge.core.internal.map.MappedSlot;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Atomics of a {@link Vcpu}: sequentially consistent reads, writes and read-modify-writes of 1, 2,
 * 4 or 8 bytes. Every write marks its page. A compare-and-exchange that finds another value marks
 * nothing; if it finds the value and then loses against another vCPU, it may have marked the page.
 *
 * <p>{@code width} is 1, 2, 4 or 8. Values are the low {@code width} bytes of a {@code long};
 * results are zero-extended. The address is a multiple of {@code width}. Threads and errors are
 * those of the vCPU. In addition, a misaligned address is a {@link GuestAccessException}, another
 * width an {@link IllegalArgumentException}, and RAM that cannot be accessed atomically (a slot
 * over a {@code byte[]}, or over a misaligned segment) an {@link UnsupportedOperationException};
 * nothing is written then. Allocates nothing, takes no lock.
 */
public final class VcpuAtomics {
  private static final VarHandle INT =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle();
  private static final VarHandle LONG =
      ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle();

  private final Vcpu vcpu;
  private final boolean bigEndian;

  VcpuAtomics(Vcpu vcpu, boolean bigEndian) {
    this.vcpu = vcpu;
    this.bigEndian = bigEndian;
  }

  /**
   * Reads. Not tracked.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @return the value
   */
  public long getVolatile(long address, int width) {
    MappedSlot slot = slot(address, width, false);
    return guest(width, load(slot.ram(), address - slot.base, width));
  }

  /**
   * Writes.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param value the value
   */
  public void putVolatile(long address, int width, long value) {
    getAndSet(address, width, value);
  }

  /**
   * Writes a value if another is there.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param expected what has to be there
   * @param value what to write then
   * @return what was there: {@code expected}, zero-extended, if and only if the value was written
   */
  public long compareAndExchange(long address, int width, long expected, long value) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    long wanted = guest(width, expected);
    long witness = load(slot.ram(), offset, width);
    if (witness == wanted) {
      boolean watched = vcpu.mark(slot, offset, width);
      witness = exchange(slot.ram(), offset, width, wanted, guest(width, value));
      tell(watched && witness == wanted, slot, offset, width);
    }
    return guest(width, witness);
  }

  /**
   * Writes a value.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param value the value
   * @return what was there before
   */
  public long getAndSet(long address, int width, long value) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    boolean watched = vcpu.mark(slot, offset, width);
    long operand = guest(width, value);
    long old;
    if (width == 4) {
      old = (int) INT.getAndSet(slot.ram(), offset, (int) operand) & 0xffff_ffffL;
    } else if (width == 8) {
      old = (long) LONG.getAndSet(slot.ram(), offset, operand);
    } else {
      old = load(slot.ram(), offset, width);
      for (long seen = ~old; seen != old; ) {
        seen = old;
        old = exchange(slot.ram(), offset, width, seen, operand);
      }
    }
    tell(watched, slot, offset, width);
    return guest(width, old);
  }

  /**
   * Adds.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param delta what to add
   * @return what was there before
   */
  public long getAndAdd(long address, int width, long delta) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    boolean watched = vcpu.mark(slot, offset, width);
    long old;
    if (width == 4 && !bigEndian) {
      old = (int) INT.getAndAdd(slot.ram(), offset, (int) delta) & 0xffff_ffffL;
    } else if (width == 8 && !bigEndian) {
      old = (long) LONG.getAndAdd(slot.ram(), offset, delta);
    } else {
      old = load(slot.ram(), offset, width);
      for (long seen = ~old; seen != old; ) {
        seen = old;
        long sum = guest(width, guest(width, seen) + delta);
        old = exchange(slot.ram(), offset, width, seen, sum);
      }
    }
    tell(watched, slot, offset, width);
    return guest(width, old);
  }

  /**
   * ANDs.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param mask what to AND with
   * @return what was there before
   */
  public long getAndAnd(long address, int width, long mask) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    boolean watched = vcpu.mark(slot, offset, width);
    long bits = guest(width, mask);
    int shift = shift(offset, width);
    long old =
        width == 8
            ? (long) LONG.getAndBitwiseAnd(slot.ram(), offset, bits)
            : (int)
                    INT.getAndBitwiseAnd(
                        slot.ram(),
                        offset & -4L,
                        (int) ((bits << shift) | ~(lowBytes(width) << shift)))
                >>> shift;
    tell(watched, slot, offset, width);
    return guest(width, old & lowBytes(width));
  }

  /**
   * ORs.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param mask what to OR with
   * @return what was there before
   */
  public long getAndOr(long address, int width, long mask) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    boolean watched = vcpu.mark(slot, offset, width);
    long bits = guest(width, mask);
    int shift = shift(offset, width);
    long old =
        width == 8
            ? (long) LONG.getAndBitwiseOr(slot.ram(), offset, bits)
            : (int) INT.getAndBitwiseOr(slot.ram(), offset & -4L, (int) (bits << shift)) >>> shift;
    tell(watched, slot, offset, width);
    return guest(width, old & lowBytes(width));
  }

  /**
   * XORs.
   *
   * @param address guest address
   * @param width 1, 2, 4 or 8
   * @param mask what to XOR with
   * @return what was there before
   */
  public long getAndXor(long address, int width, long mask) {
    MappedSlot slot = slot(address, width, true);
    long offset = address - slot.base;
    boolean watched = vcpu.mark(slot, offset, width);
    long bits = guest(width, mask);
    int shift = shift(offset, width);
    long old =
        width == 8
            ? (long) LONG.getAndBitwiseXor(slot.ram(), offset, bits)
            : (int) INT.getAndBitwiseXor(slot.ram(), offset & -4L, (int) (bits << shift)) >>> shift;
    tell(watched, slot, offset, width);
    return guest(width, old & lowBytes(width));
  }

  private void tell(boolean watched, MappedSlot slot, long offset, int width) {
    if (watched) {
      vcpu.tellWatches(slot, offset, width);
    }
  }

  private MappedSlot slot(long address, int width, boolean write) {
    if (width != 1 && width != 2 && width != 4 && width != 8) {
      throw new IllegalArgumentException("width " + width + " is not 1, 2, 4 or 8");
    }
    if ((address & (width - 1)) != 0) {
      throw new GuestAccessException(
          address, width, "misaligned: an atomic access needs a multiple of its width");
    }
    MappedSlot slot = vcpu.atomicSlot(address, width, write);
    if (slot.atomicWidth < width) {
      throw new UnsupportedOperationException(
          slot
              + " is over memory aligned to "
              + slot.ram().maxByteAlignment()
              + ": atomics of width "
              + width
              + " need memory aligned to "
              + Math.max(width, 4)
              + ", such as native memory or a long[]");
    }
    return slot;
  }

  /** Between the value and how it lies in memory, seen little-endian; its own inverse. */
  private long guest(int width, long value) {
    long low = value & lowBytes(width);
    return bigEndian ? Long.reverseBytes(low) >>> (64 - 8 * width) : low;
  }

  private static long lowBytes(int width) {
    return -1L >>> (64 - 8 * width);
  }

  /** Where a value of 1 or 2 bytes lies in its aligned word of 4. */
  private static int shift(long offset, int width) {
    return width < 4 ? (int) (offset & 3) * 8 : 0;
  }

  private static long load(MemorySegment ram, long offset, int width) {
    if (width == 8) {
      return (long) LONG.getVolatile(ram, offset);
    }
    int word = (int) INT.getVolatile(ram, offset & -4L);
    return word >>> shift(offset, width) & lowBytes(width);
  }

  /** Compare and exchange of values as they lie in memory, zero-extended. */
  private static long exchange(
      MemorySegment ram, long offset, int width, long expected, long value) {
    if (width == 8) {
      return (long) LONG.compareAndExchange(ram, offset, expected, value);
    }
    if (width == 4) {
      return (int) INT.compareAndExchange(ram, offset, (int) expected, (int) value) & 0xffff_ffffL;
    }
    int shift = shift(offset, width);
    int hole = ~((int) lowBytes(width) << shift);
    for (; ; ) {
      int word = (int) INT.getVolatile(ram, offset & -4L);
      long there = word >>> shift & lowBytes(width);
      if (there != expected) {
        return there;
      }
      int changed = (word & hole) | ((int) value << shift);
      if (INT.compareAndSet(ram, offset & -4L, word, changed)) {
        return expected;
      }
    }
  }
}
