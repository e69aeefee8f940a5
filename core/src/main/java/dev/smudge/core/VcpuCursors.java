package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.rcu.RcuReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How a {@link Vcpu} finds the slot of an address: a {@link WriteCursor}, and a cursor for reads.
 * Behind each is the slot that it was at before, for a guest that goes to and fro between two: its
 * accesses look there before they search the map, and change nothing. A superclass, so that the
 * store path loads no other object.
 */
@SuppressWarnings({
  "ReferenceEquality", // slots are compared by identity
  "Finally" // what is thrown there has the same cause: the stack has ended
})
abstract class VcpuCursors {
  private static final WriteCursor[] NO_CURSORS = {};

  private final AddressSpace space;
  final boolean bigEndian;
  final LogVcpu log;
  private final Runnable armCallback;

  // Of the last safepoint, or newer: all that this vCPU does until its next one is in this map.
  private SlotMap map = SlotMap.EMPTY;

  // The write cursor: the slot of the last write, and its page; no other has a page. Its page is
  // dropped at a safepoint when pages were armed, and all of it when the vCPU goes offline or
  // waits, whoever has it do so.
  private WriteCursor cursor = WriteCursor.NONE;

  private MappedSlot readSlot = MappedSlot.NONE; // the read cursor

  // Of the same map as the cursors, and dropped with them.
  private WriteCursor cursorBefore = WriteCursor.NONE;
  private MappedSlot readSlotBefore = MappedSlot.NONE;

  private WriteCursor[] cursors = NO_CURSORS; // of the slots of the map that it has written, by id

  private long armings; // how often pages were armed, perhaps: windows are marked once for each

  @SuppressWarnings("this-escape") // the callback runs on the vCPU's thread, later
  VcpuCursors(AddressSpace space, ByteOrder order, Runnable armCallback) {
    this.space = space;
    this.bigEndian = order == ByteOrder.BIG_ENDIAN;
    this.armCallback = armCallback;
    this.log = space.log().addVcpu(this::pagesArmed);
    EmbeddedLog.whenAside(log, this::dropCursors);
  }

  private void pagesArmed() {
    armings++;
    cursor.dropPage();
    SlotMap now = space.map(); // C2
    if (now != map || space.isSealedOrClosed()) { // C1
      dropCursors(); // the next access takes the slow path, and finds the slot of now or is refused
      use(now);
    }
    armCallback.run();
  }

  /** A window that was opened since this has changed last needs no mark. */
  final long armings() {
    return armings;
  }

  private void dropCursors() {
    armings++;
    cursor.dropPage();
    cursor = WriteCursor.NONE;
    readSlot = MappedSlot.NONE;
    cursorBefore = WriteCursor.NONE;
    readSlotBefore = MappedSlot.NONE;
  }

  private void use(SlotMap now) {
    map = now;
    cursors = NO_CURSORS;
  }

  // How an access finds its slot. Where the cursor has it all, no method below is called.

  final WriteCursor writeCursor() {
    return cursor;
  }

  final MappedSlot readCursor() {
    return readSlot;
  }

  /** The slot that holds all of a write, for any length; null: it goes over a border of slots. */
  final @Nullable MappedSlot writable(long address, long length) {
    MappedSlot slot = cursor.slot;
    if (holds(slot, address, length)) {
      return slot;
    }
    MappedSlot before = cursorBefore.slot;
    if (holds(before, address, length)) {
      if (mayMove(address)) {
        moveTo(before);
      }
      return before;
    }
    return moveCursor(address, length);
  }

  /** As {@link #writable}, for a read. */
  final @Nullable MappedSlot readable(long address, long length) {
    MappedSlot cursor = readSlot;
    if (holds(cursor, address, length)) {
      return cursor;
    }
    MappedSlot before = readSlotBefore;
    if (holds(before, address, length)) {
      if (mayMove(address)) {
        readFrom(before);
      }
      return before;
    }
    return moveReadCursor(address, length);
  }

  /** An access of no bytes has to begin inside, too; in NONE nothing does. */
  private static boolean holds(MappedSlot cursor, long address, long length) {
    long offset = address - cursor.base;
    return offset >= 0 && length >= 0 && offset <= cursor.size - Math.max(length, 1);
  }

  /**
   * Whether the slot behind a cursor comes to the front: once in 128 times, as the page of a {@link
   * WriteCursor}. Not by a second thread, whose slot may be one that this vCPU has dropped since.
   */
  private boolean mayMove(long address) {
    return (address & WriteCursor.SAMPLE) == 0 && log.isOnlineHere();
  }

  private @Nullable MappedSlot moveCursor(long address, long length) {
    MappedSlot found = mapFor(address, length).find(address, length);
    checkNotSealed(address, length);
    if (found != null) {
      moveTo(found);
    }
    return found;
  }

  private void moveTo(MappedSlot next) {
    WriteCursor to;
    try {
      to = cursorOf(next);
    } catch (OutOfMemoryError e) {
      return; // the access goes on without a cursor, and the next one looks for its slot again
    }
    cursor.dropPage();
    to.dropPage();
    cursorBefore = cursor;
    cursor = to;
  }

  private WriteCursor cursorOf(MappedSlot slot) {
    int id = slot.log.id();
    WriteCursor[] all = cursors;
    WriteCursor known = id < all.length ? all[id] : null;
    if (known == null || known.slot != slot) {
      known = new WriteCursor(slot, bigEndian);
      if (id >= all.length) {
        all = Arrays.copyOf(all, Math.max(id + 1, 2 * all.length));
        cursors = all;
      }
      all[id] = known;
    }
    return known;
  }

  private void readFrom(MappedSlot next) {
    readSlotBefore = readSlot;
    readSlot = next;
  }

  private @Nullable MappedSlot moveReadCursor(long address, long length) {
    MappedSlot found = mapFor(address, length).find(address, length);
    if (found != null) {
      readFrom(found);
    }
    return found;
  }

  private void checkNotSealed(long address, long length) {
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
  }

  /**
   * The map of this vCPU, in which all of an access is. Until its next safepoint a vCPU uses one
   * map, for all that it does, however often that has changed meanwhile; but for an access that it
   * knows no slot for: then it takes the map of now, and forgets all that it had of the old one.
   */
  final SlotMap mapFor(long address, long length) {
    log.online(); // from here on a barrier waits for this vCPU, and close() too
    space.checkOpen(); // C1
    if (!map.covers(address, length) && !refresh().covers(address, length)) {
      throw GuestAccessException.notFound(map, address, length);
    }
    return map;
  }

  /** As {@link #mapFor}, for a read and a write that belong together. */
  private SlotMap mapFor(long from, long to, long length) {
    SlotMap found = mapFor(from, length);
    return mapFor(to, length) == found ? found : mapFor(from, length);
  }

  final boolean isCurrent(MappedSlot slot) {
    return space.map().isCurrent(slot);
  }

  final boolean isInReadCursor(long address, long length) {
    return holds(readSlot, address, length);
  }

  /** Whether an access is all in slots; moves the read cursor there if one slot has it. */
  final boolean isCovered(long address, long length) {
    log.online();
    space.checkOpen(); // C1
    if (!map.covers(address, length) && !refresh().covers(address, length)) {
      return false;
    }
    MappedSlot found = map.find(address, length);
    if (found != null) {
      readFrom(found);
    }
    return true;
  }

  private SlotMap refresh() {
    SlotMap now = space.map();
    if (now != map) {
      dropCursors();
      use(now);
    }
    return now;
  }

  // Accesses that the cursors do not hold: of any length, over borders of slots that adjoin.

  /**
   * Writes the low bytes of a value, little-endian, outside the page of the cursor. All in one
   * call: with a second one in the store path, the JIT keeps the address in memory in a guest's
   * loop.
   */
  final void storeOutside(long address, int width, long value) {
    WriteCursor now = cursor;
    WriteCursor before = cursorBefore;
    if (now.isMarked(address, width)) {
      now.put(address, width, value);
    } else if (before.isMarked(address, width)) {
      before.put(address, width, value);
    } else {
      storeSlowly(address, width, value);
    }
  }

  private void storeSlowly(long address, int width, long value) {
    MappedSlot to = writable(address, width);
    if (to != null) {
      long offset = address - to.base;
      boolean watched = mark(to, offset, width);
      to.set(offset, width, value);
      if (watched) {
        tellWatches(to, offset, width);
      }
      return;
    }
    boolean watched = markParts(address, width);
    for (int i = 0; i < width; i++) {
      map.forEachPart(address + i, 1, new Filler((byte) (value >>> (8 * i))));
    }
    tellParts(watched, address, width);
  }

  /** Reads a value, little-endian. */
  final long loadSlowly(long address, int width) {
    MappedSlot from = readable(address, width);
    if (from != null) {
      return from.get(address - from.base, width);
    }
    byte[] bytes = new byte[Long.BYTES];
    MemorySegment all = MemorySegment.ofArray(bytes);
    readParts(address, all.asSlice(0, width));
    return all.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
  }

  final void readParts(long address, MemorySegment target) {
    mapFor(address, target.byteSize()).read(address, target);
  }

  final void writeParts(long address, MemorySegment source) {
    long length = source.byteSize();
    boolean watched = markParts(address, length);
    map.forEachPart(address, length, new Writer(source));
    tellParts(watched, address, length);
  }

  final void fillParts(long address, long length, byte value) {
    boolean watched = markParts(address, length);
    map.forEachPart(address, length, new Filler(value));
    tellParts(watched, address, length);
  }

  /** Copies what may overlap: from its end, where the target is above. */
  final void copyParts(long from, long to, long length) {
    SlotMap both = mapFor(from, to, length);
    checkNotSealed(to, length);
    boolean watched = markParts(both, to, length);
    both.copy(from, to, length);
    tellParts(watched, to, length);
  }

  /** Marks what is about to be written; returns whether watches are to be told of it. */
  private boolean markParts(long address, long length) {
    SlotMap all = mapFor(address, length);
    checkNotSealed(address, length);
    return markParts(all, address, length);
  }

  private boolean markParts(SlotMap all, long address, long length) {
    boolean[] watched = new boolean[1];
    all.forEachPart(
        address,
        length,
        (part, offset, done, count) ->
            watched[0] |= EmbeddedLog.markBefore(log, part.log, offset, count));
    return watched[0];
  }

  private void tellParts(boolean watched, long address, long length) {
    if (watched) {
      map.tellWatches(address, length);
    }
  }

  /** Tells the watches of a slot of what was written. */
  final void tellWatches(MappedSlot to, long offset, long length) {
    EmbeddedLog.tellWatches(to.log, offset, length);
  }

  /** Marks what is about to be written; returns whether watches are to be told of it. */
  final boolean mark(MappedSlot to, long offset, int length) {
    if (isUnmarked(to, offset, length)) {
      return EmbeddedLog.markBefore(log, to.log, offset, length);
    }
    if ((offset & WriteCursor.SAMPLE) == 0) {
      moveToPage(to, offset);
    }
    return false;
  }

  /** As {@link #mark}, of a bulk write that is not all inside the page of the cursor. */
  final boolean markRange(MappedSlot to, long offset, long length) {
    boolean watched = EmbeddedLog.markBefore(log, to.log, offset, length);
    if (!watched && length > 0 && (offset & WriteCursor.SAMPLE) == 0) {
      moveToPage(to, offset);
    }
    return watched;
  }

  private static boolean isUnmarked(MappedSlot to, long offset, int length) {
    long page = offset >>> to.pageShift;
    return (offset + length - 1) >>> to.pageShift != page || !to.log.isMarked(page);
  }

  /**
   * Not by a second thread: the vCPU's own may have passed a safepoint since the page was seen
   * marked, and would write there without marks.
   */
  private void moveToPage(MappedSlot to, long offset) {
    WriteCursor now = cursor; // once: a second thread may find another after the compare
    if (to == now.slot && log.isOnlineHere()) {
      now.moveToPage(to.base + offset);
    }
  }

  /** The slot for an aligned access, which goes over no border. */
  final MappedSlot atomicSlot(long address, int width, boolean write) {
    return Objects.requireNonNull(write ? writable(address, width) : readable(address, width));
  }

  /** Marks what was written by other means. */
  final void markWritten(long address, long length) {
    tellParts(markParts(mapFor(address, length), address, length), address, length);
  }

  /**
   * Marks what a thread wrote that may not run this vCPU; what that throws is added to the cause.
   */
  final void markForeign(long address, long length, Throwable why) {
    try {
      RcuReader section = space.log().rcu().reader();
      space.log().rcu().enter();
      try {
        SlotMap now = space.openMap();
        if (!now.covers(address, length)) {
          throw GuestAccessException.notFound(now, address, length);
        }
        now.forEachPart(
            address,
            length,
            (part, offset, done, count) ->
                space.embedded().markOnly(section, part.log, offset, count));
        now.tellWatches(address, length);
      } finally {
        try {
          section.cross(RcuReader.LEAVE);
        } catch (StackOverflowError ended) {
          section.left = true;
          throw ended;
        }
      }
    } catch (Throwable e) {
      if (!e.equals(why)) { // the JVM throws one OutOfMemoryError several times
        why.addSuppressed(e);
      }
    }
  }
}
