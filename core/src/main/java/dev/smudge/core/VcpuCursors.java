package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.SealedException;

/**
 * How a {@link Vcpu} finds the slot of an address, and knows that a page needs no mark: one cursor
 * for writes, with the page that was seen marked, and one for reads. A superclass, so that the
 * store path loads no other object.
 */
@SuppressWarnings("ReferenceEquality") // slots are compared by identity
abstract class VcpuCursors {
  /**
   * The page cursor follows one store of 128, by its address: a guest that writes at random would
   * fill the store buffer with cursors, one that writes in sequence gets it at once.
   */
  private static final long CURSOR_SAMPLE = 0x3f8;

  private final AddressSpace space;
  final LogVcpu log;
  private final Runnable armCallback;

  // The write cursor: the slot of the last write, and its page. Dropped at a safepoint when pages
  // were armed, and when the vCPU goes offline.
  private MappedSlot slot = MappedSlot.NONE;
  private long pageStart; // a page of the slot that was seen marked: writes to it need no mark
  private long pageSpan; // how many offsets an access of 8 bytes may have there; 0: no page
  private long pageEnd;

  private MappedSlot readSlot = MappedSlot.NONE; // the read cursor

  @SuppressWarnings("this-escape") // the callback runs on the vCPU's thread, later
  VcpuCursors(AddressSpace space, Runnable armCallback) {
    this.space = space;
    this.armCallback = armCallback;
    this.log = space.log().addVcpu(this::pagesArmed);
  }

  private void pagesArmed() {
    dropPage();
    SlotMap now = space.map(); // C2
    if (isGone(slot, now) || isGone(readSlot, now) || space.isSealedOrClosed()) {
      dropCursors(); // the next access takes the slow path, and finds the slot of now or is refused
    }
    armCallback.run();
  }

  private static boolean isGone(MappedSlot cursor, SlotMap now) {
    return cursor != MappedSlot.NONE && !now.isCurrent(cursor);
  }

  final void dropCursors() {
    slot = MappedSlot.NONE;
    dropPage();
    readSlot = MappedSlot.NONE;
  }

  /** The slot for a write of at most 8 bytes; moves the cursor if it has to. */
  final MappedSlot writable(long address, int length) {
    MappedSlot cursor = slot;
    return Long.compareUnsigned(address - cursor.base, cursor.span) < 0
        ? cursor
        : moveCursor(address, length);
  }

  /** As {@link #writable}, for any length. */
  final MappedSlot writableRange(long address, long length) {
    MappedSlot cursor = slot;
    return holds(cursor, address, length) ? cursor : moveCursor(address, length);
  }

  /** An access of no bytes has to begin inside, too; in NONE nothing does. */
  private static boolean holds(MappedSlot cursor, long address, long length) {
    long offset = address - cursor.base;
    return offset >= 0 && length >= 0 && offset <= cursor.size - Math.max(length, 1);
  }

  private MappedSlot moveCursor(long address, long length) {
    MappedSlot found = find(address, length);
    if (space.log().isSealed()) {
      throw new SealedException(
          "a write of "
              + length
              + " bytes to guest address 0x"
              + Long.toHexString(address)
              + " by vCPU "
              + log.index()
              + " came after seal()");
    }
    dropPage();
    slot = found;
    return found;
  }

  final MappedSlot find(long address, long length) {
    log.online(); // from here on a barrier waits for this vCPU, and close() too
    SlotMap map = space.openMap();
    MappedSlot found = map.find(address, length);
    if (found == null) {
      throw GuestAccessException.notFound(map, address, length);
    }
    return found;
  }

  final MappedSlot readable(long address, int length) {
    MappedSlot cursor = readSlot;
    return Long.compareUnsigned(address - cursor.base, cursor.span) < 0
        ? cursor
        : moveReadCursor(address, length);
  }

  final MappedSlot readableRange(long address, long length) {
    MappedSlot cursor = readSlot;
    return holds(cursor, address, length) ? cursor : moveReadCursor(address, length);
  }

  private MappedSlot moveReadCursor(long address, long length) {
    MappedSlot found = find(address, length);
    readSlot = found;
    return found;
  }

  // The methods of the store path are small, so that they are inlined also where they are not hot.

  /** Whether an access of at most 8 bytes at this offset of the slot may need a mark. */
  final boolean isOutsideMarkedPage(long offset) {
    return Long.compareUnsigned(offset - pageStart, pageSpan) >= 0;
  }

  /** Marks what was written outside the cursor's page. */
  final void marked(MappedSlot to, long offset, int length) {
    if (isUnmarked(to, offset, length)) {
      log.mark(to.log, offset, length);
    } else if ((offset & CURSOR_SAMPLE) == 0) {
      moveToPage(to, offset);
    }
  }

  /** Marks what a bulk write has written. */
  final void markedRange(MappedSlot to, long offset, long length) {
    if (offset < pageStart || offset + length > pageEnd) {
      markRange(to, offset, length);
    }
  }

  private void markRange(MappedSlot to, long offset, long length) {
    log.mark(to.log, offset, length);
    if (length > 0 && (offset & CURSOR_SAMPLE) == 0) {
      moveToPage(to, offset);
    }
  }

  private static boolean isUnmarked(MappedSlot to, long offset, int length) {
    long page = offset >>> to.pageShift;
    return (offset + length - 1) >>> to.pageShift != page || !to.log.isMarked(page);
  }

  private void moveToPage(MappedSlot to, long offset) {
    if (to == slot) {
      pageStart = offset & (-1L << to.pageShift);
      pageSpan = (1L << to.pageShift) - 7;
      pageEnd = pageStart + (1L << to.pageShift);
    }
  }

  private void dropPage() {
    pageSpan = 0;
    pageEnd = 0;
  }

  /** The slot for an atomic access; {@code write} if it may write. */
  final MappedSlot atomicSlot(long address, int width, boolean write) {
    return write ? writable(address, width) : readable(address, width);
  }

  final void markWritten(MappedSlot written, long offset, long length) {
    log.mark(written.log, offset, length);
  }

  /** Marks what a thread wrote that may not run this vCPU. */
  final void markForeign(long address, long length) {
    space.log().rcu().enter();
    try {
      SlotMap map = space.openMap();
      MappedSlot written = map.find(address, length);
      if (written == null) {
        throw GuestAccessException.notFound(map, address, length);
      }
      space.log().mark(written.log, address - written.base, length);
    } finally {
      space.log().rcu().exit();
    }
  }
}
