package dev.smudge.core;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A memory slot: a range of guest addresses, its RAM, and its dirty state. Made by {@link
 * GuestMemory#addSlot} or a {@link SlotTransaction}. Immutable: a change makes another in its
 * place. Usable from any thread.
 */
public final class GuestSlot {
  /** Stands for no slot: nothing is inside. */
  static final GuestSlot NONE =
      new GuestSlot(
          SlotPlan.ofSegment(0, 0, MemorySegment.ofArray(new byte[256]), 256),
          MemorySegment.NULL,
          DirtyLog.createStopped().addSlot(0, 1, 1),
          null);

  final SlotPlan plan;
  final SparseRam.@Nullable Pin pin; // null: RAM of the embedder's
  final MemorySegment ram;
  final long guestAddress;
  final long size;
  final LogSlot log;

  /**
   * Address of RAM that nobody unmaps while a vCPU has a cursor there, 0 if it is the embedder's.
   */
  final long rawAddress;

  /** The widest access that can be atomic, 0 if none. */
  final int atomicWidth;

  GuestSlot(SlotPlan plan, MemorySegment ram, LogSlot log, SparseRam.@Nullable Pin pin) {
    this.plan = plan;
    this.pin = pin;
    this.guestAddress = plan.guestAddress();
    this.ram = ram;
    this.size = ram.byteSize();
    this.log = log;
    this.rawAddress = pin != null ? ram.address() : 0;
    long alignment = ram.maxByteAlignment();
    this.atomicWidth = alignment >= 8 ? 8 : alignment >= 4 ? 4 : 0;
  }

  static GuestSlot of(LogSlot slot) {
    return (GuestSlot) Objects.requireNonNull(slot.attachment());
  }

  /** {@return the slot's number} */
  public int id() {
    return log.id();
  }

  /** {@return the guest address of its first byte} */
  public long guestAddress() {
    return guestAddress;
  }

  /** {@return its size in bytes, a multiple of the page size} */
  public long size() {
    return size;
  }

  /** {@return the size of a page in bytes, a power of two from 256 to 2^30} */
  public long pageSize() {
    return log.pageSize();
  }

  /** {@return the number of pages} */
  public long pageCount() {
    return log.pageCount();
  }

  /**
   * Returns the slot's RAM, for code that stores with raw pointers or hands it to another library.
   * What is written through it is tracked only if it is marked afterwards ({@link Vcpu#mark},
   * {@link DeviceMemory#mark}). Pages that are to be sent come from {@link GuestBatch#forEachRun}:
   * only there is the barrier over.
   *
   * @return the RAM, offset 0 is {@link #guestAddress}; valid until the slot is removed or changed,
   *     or the memory is closed
   */
  public MemorySegment ram() {
    return ram;
  }

  /** No vCPU, section or batch uses it any more. */
  void released() {
    if (pin != null) {
      pin.release();
    }
  }

  /** Whether {@code length} bytes from an address on are all inside. */
  boolean contains(long address, long length) {
    long offset = address - guestAddress;
    return offset >= 0 && offset < size && length >= 0 && length <= size - offset;
  }

  @Override
  public String toString() {
    return "GuestSlot["
        + id()
        + ", 0x"
        + Long.toHexString(guestAddress)
        + " + 0x"
        + Long.toHexString(size)
        + ", pages of "
        + pageSize()
        + "]";
  }
}
