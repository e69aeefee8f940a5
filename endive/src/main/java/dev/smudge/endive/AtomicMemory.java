package dev.smudge.endive;

import dev.smudge.core.Vcpu;
import dev.smudge.core.VcpuAtomics;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.function.BooleanSupplier;
import run.endive.runtime.Memory;
import run.endive.runtime.WasmRuntimeException;
import run.endive.wasm.InvalidException;
import run.endive.wasm.WasmEngineException;

/**
 * The atomics, wait and notify of a {@link TrackedMemory}, and the check that every access begins
 * with.
 */
@SuppressWarnings("removal") // lock, waitOn and notify are abstract in Memory all the same
abstract class AtomicMemory implements Memory {
  private static final VarHandle INT =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle();
  private static final VarHandle LONG =
      ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle();

  final Vcpu vcpu;
  final LinearMemory memory;
  final long base;
  private final VcpuAtomics atomics;

  /** Bytes of the memory as this vCPU last knew it; the memory may have grown since. */
  private long size;

  AtomicMemory(LinearMemory memory, Vcpu vcpu) {
    this.memory = memory;
    this.vcpu = vcpu;
    this.base = memory.slot.guestAddress();
    this.atomics = vcpu.atomics();
    this.size = memory.size();
  }

  /**
   * The entry of every store: a safepoint, since every earlier store is complete, and the check.
   *
   * @return the guest address
   */
  final long storeAddress(int addr, int width) {
    vcpu.safepoint();
    return checkedStore(addr, width);
  }

  /** The entry of every load: a safepoint too, so that a loop of loads holds no barrier up. */
  final long loadAddress(int addr, int width) {
    vcpu.safepoint();
    return checkedLoad(addr, width);
  }

  /** The check alone: {@return the guest address} */
  final long checkedStore(int addr, int width) {
    long offset = addr & 0xffff_ffffL; // a negative address is far outside
    if (offset > size - width && isOutside(offset, width)) {
      throw outOfBounds(addr, width);
    }
    return base + offset;
  }

  /** As {@link #checkedStore}, for a load, whose errors are others. */
  final long checkedLoad(int addr, int width) {
    long offset = addr & 0xffff_ffffL;
    if (offset > size - width && isOutside(offset, width)) {
      throw outOfBoundsLoad(addr, width);
    }
    return base + offset;
  }

  private long atomicStore(int addr, int width) {
    checkAligned(addr, width);
    return storeAddress(addr, width);
  }

  private long atomicLoad(int addr, int width) {
    checkAligned(addr, width);
    return loadAddress(addr, width);
  }

  /** Endive has checked it for the guest: this is for host functions. */
  private static void checkAligned(int addr, int width) {
    if ((addr & (width - 1)) != 0) {
      throw new InvalidException("unaligned atomic");
    }
  }

  /** Looks at the size of now. */
  private boolean isOutside(long offset, int width) {
    size = memory.size();
    return offset > size - width;
  }

  /** The memory has so many pages as it had once; no other facade of it is in use. */
  void resetPages(int pages) {
    memory.resetPages(pages);
    size = memory.size();
  }

  /** The entry of every bulk access. */
  final long bulkAddress(int addr, int length) {
    vcpu.safepoint();
    checkBounds(addr, length, memory.size());
    return base + addr;
  }

  static void checkBounds(int addr, int length, int limit) {
    if (isOutOfBounds(addr, length, limit)) {
      throw new WasmRuntimeException(outOfBoundsMessage(addr, length, limit));
    }
  }

  static boolean isOutOfBounds(int addr, int length, int limit) {
    return addr < 0 || length < 0 || addr > limit || length > limit - addr;
  }

  static String outOfBoundsMessage(int addr, int length, int limit) {
    return "out of bounds memory access: attempted to access address: "
        + addr
        + " but limit is: "
        + limit
        + " and size: "
        + length;
  }

  private WasmRuntimeException outOfBounds(int addr, int width) {
    return new WasmRuntimeException(outOfBoundsMessage(addr, width, memory.size()));
  }

  /** Endive reads what straddles two pages of 64 KiB byte by byte, and names the first outside. */
  private WasmRuntimeException outOfBoundsLoad(int addr, int width) {
    int limit = memory.size();
    if ((addr & (PAGE_SIZE - 1)) + width <= PAGE_SIZE) {
      return outOfBounds(addr, width);
    }
    int failing = addr < 0 || addr >= limit ? addr : limit;
    return new WasmRuntimeException(outOfBoundsMessage(failing, 1, limit));
  }

  @Override
  public final Object lock(int address) {
    throw new UnsupportedOperationException("atomics take no lock here");
  }

  @Override
  public final int waitOn(int address, int expected, long timeout) {
    return atomicWait(address, expected, timeout);
  }

  @Override
  public final int waitOn(int address, long expected, long timeout) {
    return atomicWait(address, expected, timeout);
  }

  @Override
  public final int notify(int address, int maxThreads) {
    return atomicNotify(address, maxThreads);
  }

  @Override
  public final int atomicWait(int addr, int expected, long timeout) {
    checkShared();
    if ((int) atomics.getVolatile(atomicLoad(addr, 4), 4) != expected) {
      return WaitQueues.NOT_EQUAL;
    }
    MemorySegment ram = memory.slot.ram();
    BooleanSupplier asExpected =
        new BooleanSupplier() { // no lambda over an int (docs/design.md 3.8)
          @Override
          public boolean getAsBoolean() {
            return (int) INT.getVolatile(ram, (long) addr) == expected;
          }
        };
    return await(addr, asExpected, timeout);
  }

  @Override
  public final int atomicWait(int addr, long expected, long timeout) {
    checkShared();
    if (atomics.getVolatile(atomicLoad(addr, 8), 8) != expected) {
      return WaitQueues.NOT_EQUAL;
    }
    MemorySegment ram = memory.slot.ram();
    BooleanSupplier asExpected =
        new BooleanSupplier() {
          @Override
          public boolean getAsBoolean() {
            return (long) LONG.getVolatile(ram, (long) addr) == expected;
          }
        };
    return await(addr, asExpected, timeout);
  }

  private void checkShared() {
    if (!shared()) {
      throw new WasmEngineException("Attempt to wait on a non-shared memory, not supported.");
    }
  }

  /**
   * Offline while it waits, for the lock too. {@code asExpected} reads the slot's RAM itself: an
   * access through the vCPU would bring it online again, and every barrier would wait for the
   * waiter.
   */
  private int await(int addr, BooleanSupplier asExpected, long timeout) {
    vcpu.offline();
    try {
      return memory.waiters.await(addr, asExpected, timeout);
    } finally {
      vcpu.online();
    }
  }

  @Override
  public final int atomicNotify(int addr, int maxThreads) {
    vcpu.safepoint();
    return shared() ? memory.waiters.wake(addr, maxThreads) : 0;
  }

  @Override
  public final void atomicFence() {
    VarHandle.fullFence();
  }

  @Override
  public final int atomicReadInt(int addr) {
    return (int) atomics.getVolatile(atomicLoad(addr, 4), 4);
  }

  @Override
  public final void atomicWriteInt(int addr, int value) {
    atomics.putVolatile(atomicStore(addr, 4), 4, value);
  }

  @Override
  public final int atomicAddInt(int addr, int delta) {
    return (int) atomics.getAndAdd(atomicStore(addr, 4), 4, delta);
  }

  @Override
  public final int atomicAndInt(int addr, int mask) {
    return (int) atomics.getAndAnd(atomicStore(addr, 4), 4, mask);
  }

  @Override
  public final int atomicOrInt(int addr, int mask) {
    return (int) atomics.getAndOr(atomicStore(addr, 4), 4, mask);
  }

  @Override
  public final int atomicXorInt(int addr, int mask) {
    return (int) atomics.getAndXor(atomicStore(addr, 4), 4, mask);
  }

  @Override
  public final int atomicXchgInt(int addr, int value) {
    return (int) atomics.getAndSet(atomicStore(addr, 4), 4, value);
  }

  @Override
  public final int atomicCmpxchgInt(int addr, int expected, int replacement) {
    return (int) atomics.compareAndExchange(atomicStore(addr, 4), 4, expected, replacement);
  }

  @Override
  public final long atomicReadLong(int addr) {
    return atomics.getVolatile(atomicLoad(addr, 8), 8);
  }

  @Override
  public final void atomicWriteLong(int addr, long value) {
    atomics.putVolatile(atomicStore(addr, 8), 8, value);
  }

  @Override
  public final long atomicAddLong(int addr, long delta) {
    return atomics.getAndAdd(atomicStore(addr, 8), 8, delta);
  }

  @Override
  public final long atomicAndLong(int addr, long mask) {
    return atomics.getAndAnd(atomicStore(addr, 8), 8, mask);
  }

  @Override
  public final long atomicOrLong(int addr, long mask) {
    return atomics.getAndOr(atomicStore(addr, 8), 8, mask);
  }

  @Override
  public final long atomicXorLong(int addr, long mask) {
    return atomics.getAndXor(atomicStore(addr, 8), 8, mask);
  }

  @Override
  public final long atomicXchgLong(int addr, long value) {
    return atomics.getAndSet(atomicStore(addr, 8), 8, value);
  }

  @Override
  public final long atomicCmpxchgLong(int addr, long expected, long replacement) {
    return atomics.compareAndExchange(atomicStore(addr, 8), 8, expected, replacement);
  }

  @Override
  public final short atomicReadShort(int addr) {
    return (short) atomics.getVolatile(atomicLoad(addr, 2), 2);
  }

  @Override
  public final void atomicWriteShort(int addr, short value) {
    atomics.putVolatile(atomicStore(addr, 2), 2, value);
  }

  @Override
  public final short atomicAddShort(int addr, short delta) {
    return (short) atomics.getAndAdd(atomicStore(addr, 2), 2, delta);
  }

  @Override
  public final short atomicAndShort(int addr, short mask) {
    return (short) atomics.getAndAnd(atomicStore(addr, 2), 2, mask);
  }

  @Override
  public final short atomicOrShort(int addr, short mask) {
    return (short) atomics.getAndOr(atomicStore(addr, 2), 2, mask);
  }

  @Override
  public final short atomicXorShort(int addr, short mask) {
    return (short) atomics.getAndXor(atomicStore(addr, 2), 2, mask);
  }

  @Override
  public final short atomicXchgShort(int addr, short value) {
    return (short) atomics.getAndSet(atomicStore(addr, 2), 2, value);
  }

  @Override
  public final short atomicCmpxchgShort(int addr, short expected, short replacement) {
    return (short) atomics.compareAndExchange(atomicStore(addr, 2), 2, expected, replacement);
  }

  @Override
  public final byte atomicReadByte(int addr) {
    return (byte) atomics.getVolatile(atomicLoad(addr, 1), 1);
  }

  @Override
  public final void atomicWriteByte(int addr, byte value) {
    atomics.putVolatile(atomicStore(addr, 1), 1, value);
  }

  @Override
  public final byte atomicAddByte(int addr, byte delta) {
    return (byte) atomics.getAndAdd(atomicStore(addr, 1), 1, delta);
  }

  @Override
  public final byte atomicAndByte(int addr, byte mask) {
    return (byte) atomics.getAndAnd(atomicStore(addr, 1), 1, mask);
  }

  @Override
  public final byte atomicOrByte(int addr, byte mask) {
    return (byte) atomics.getAndOr(atomicStore(addr, 1), 1, mask);
  }

  @Override
  public final byte atomicXorByte(int addr, byte mask) {
    return (byte) atomics.getAndXor(atomicStore(addr, 1), 1, mask);
  }

  @Override
  public final byte atomicXchgByte(int addr, byte value) {
    return (byte) atomics.getAndSet(atomicStore(addr, 1), 1, value);
  }

  @Override
  public final byte atomicCmpxchgByte(int addr, byte expected, byte replacement) {
    return (byte) atomics.compareAndExchange(atomicStore(addr, 1), 1, expected, replacement);
  }
}
