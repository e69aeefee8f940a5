package dev.smudge.core;

import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A memory slot: a range of guest addresses, its RAM, and its dirty state. Made by {@link
 * GuestMemory#addSlot} or a {@link SlotTransaction}. Immutable: a change makes another in its
 * place. Usable from any thread.
 */
public final class GuestSlot {
  final MappedSlot mapped;

  GuestSlot(MappedSlot mapped) {
    this.mapped = mapped;
  }

  static GuestSlot of(MappedSlot slot) {
    return (GuestSlot) slot.handle();
  }

  LogSlot log() {
    return mapped.log;
  }

  /** {@return the slot's number, 0 to 32,763} */
  public int id() {
    return mapped.log.id();
  }

  /** {@return the guest address of its first byte} */
  public long guestAddress() {
    return mapped.base;
  }

  /** {@return its size in bytes, a multiple of the page size} */
  public long size() {
    return mapped.size;
  }

  /** {@return the size of a page in bytes, a power of two from 256 to 2^30} */
  public long pageSize() {
    return mapped.log.pageSize();
  }

  /** {@return the number of pages} */
  public long pageCount() {
    return mapped.log.pageCount();
  }

  /** {@return whether stores by raw pointers have to be marked; see {@link LogSlot#needsMarks}} */
  public boolean needsMarks() {
    return mapped.log.needsMarks();
  }

  /**
   * Returns the slot's RAM, for code that stores with raw pointers or hands it to another library.
   * A write through it is tracked only if it is marked afterwards ({@link Vcpu#mark}, {@link
   * DeviceMemory#mark}), or if the log's tracker finds writes without marks. To read dirty pages
   * use {@link #pages} with the runs of a batch, whose barrier is over.
   *
   * @return the RAM, offset 0 is {@link #guestAddress}; valid until the slot is removed or changed,
   *     or the memory is closed
   */
  public MemorySegment ram() {
    return mapped.ram;
  }

  /**
   * Returns the address of the RAM, for code that stores with raw pointers and cannot be stopped
   * when the slot goes.
   *
   * @return an address that stays mapped as long as this object is reachable; once the memory is
   *     closed, an access to it ends in an {@code InternalError}. 0 if there is no such address:
   *     for the embedder's own RAM, or without native access for {@code dev.smudge.core}
   */
  public long address() {
    return mapped.address();
  }

  /**
   * Returns the content of pages, such as those of a run that a batch hands out. It is RAM itself,
   * not a copy, and the guest may go on writing it.
   *
   * @param firstPage first page
   * @param pageCount pages, 0 or more
   * @return the pages, read-only; valid as long as the batch is open, or the {@link
   *     dev.smudge.sync.RemovedSlot}
   * @throws IndexOutOfBoundsException if they are not all inside the slot
   * @throws IllegalStateException if the owner of the slot's RAM has closed it; the message names
   *     the slot. Remove the slot so that its pages no longer appear in batches
   */
  public MemorySegment pages(long firstPage, long pageCount) {
    Objects.checkFromIndexSize(firstPage, pageCount, mapped.log.pageCount());
    int shift = mapped.pageShift;
    return mapped.ram().asSlice(firstPage << shift, pageCount << shift).asReadOnly();
  }

  /**
   * Asks the kernel to back the slot's RAM by huge pages, mostly of 2 MiB, as it is touched. So
   * call it right after the slot was added. It is advice ({@code madvise} with {@code
   * MADV_HUGEPAGE}): if the kernel has no huge page, it takes small ones. Fewer page tables make
   * accesses and takes cheaper; RAM that is touched sparsely costs more. docs/mmu.md says how huge
   * pages affect tracking by the MMU. Any thread may call it.
   *
   * @return whether the kernel took the advice; false for the embedder's own RAM, which the
   *     embedder can advise itself, without native access, and on a kernel without huge pages
   * @throws IllegalStateException if the slot was removed, or the memory closed
   */
  public boolean adviseHugePages() {
    return mapped.isOurs()
        && AnonymousMemory.isGranted()
        && AnonymousMemory.advise(mapped.ram(), AnonymousMemory.HUGE_PAGES);
  }

  @Override
  public String toString() {
    return mapped.toString();
  }
}
