package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.PendingWrite;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.embed.Doubt;
import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A write that lands later (DMA, asynchronous I/O). It is marked when it has landed, not when it is
 * started, so that no take in between consumes the mark (docs/bugs.md row 22). Any thread may end
 * it.
 *
 * <p>It survives changes of the slots, and keeps Smudge's own RAM mapped. It marks the memory that
 * it wrote, in the slots that have that memory when it ends, at whatever address. If the memory is
 * in no slot any more, the pages go to the {@link dev.smudge.sync.RemovedSlot}, if that is still
 * open; otherwise they are not reported.
 */
public final class AsyncWrite implements AutoCloseable {
  /** What of the write is in one slot. */
  private record Part(
      MappedSlot slot, long offset, long done, MemorySegment ram, SparseRam.@Nullable Pin pin) {}

  /** What the address space knows of it. */
  private final class Pending implements PendingWrite {
    @Override
    public boolean isTo(MappedSlot slot, long offset, long count) {
      for (Part part : parts) {
        if (slot.shares(offset, count, part.slot, part.offset, part.ram.byteSize())) {
          return true;
        }
      }
      return false;
    }

    @Override
    public String toString() {
      return AsyncWrite.this.toString();
    }
  }

  private final AddressSpace space;
  private final Doubt doubt;
  private final Pending pending = new Pending();
  private final long address;
  private final long length;
  private final List<Part> parts = new ArrayList<>(1);
  private final MemorySegment target;
  private final @Nullable MemorySegment before; // what a target that is no guest RAM began with

  PendingWrite pending() {
    return pending;
  }

  /** In a read-side section in which the map was found, which covers it. */
  AsyncWrite(AddressSpace space, SlotMap map, long address, long length) {
    this.space = space;
    this.doubt = space.doubt();
    this.address = address;
    this.length = length;
    try {
      if (length == 0) {
        target = MemorySegment.ofArray(new byte[0]);
        before = null;
        return;
      }
      map.forEachPart(address, length, this::addPart);
      if (parts.size() == 1) {
        target = parts.getFirst().ram;
        before = null;
      } else {
        target = Arena.ofAuto().allocate(length);
        before = Arena.ofAuto().allocate(length);
        parts.forEach(part -> part(before, part).copyFrom(part.ram));
        target.copyFrom(before);
      }
    } catch (RuntimeException | Error e) {
      release();
      throw e;
    }
  }

  private void addPart(MappedSlot slot, long offset, long done, long count) {
    SparseRam.Pin pin = slot.pin(offset, count);
    boolean kept = false;
    try {
      MemorySegment ram = pin == null ? slot.ram().asSlice(offset, count) : pin.segment();
      parts.add(new Part(slot, offset, done, ram, pin));
      kept = true;
    } finally {
      if (!kept && pin != null) {
        pin.release();
      }
    }
  }

  private static MemorySegment part(MemorySegment all, Part part) {
    return all.asSlice(part.done, part.ram.byteSize());
  }

  /**
   * Returns where to put the bytes: guest RAM or, if the write crosses the border of two slots, a
   * buffer whose changed bytes {@link #close} copies to RAM.
   *
   * @return as many bytes as the write has; not to be used after {@link #close}
   */
  public MemorySegment target() {
    return target;
  }

  /**
   * Ends the write when it has landed, or has failed after some of it may have landed: marks all of
   * its pages. Each call marks again. If an error keeps it from marking, every page of the guest is
   * dirty for every client once more.
   */
  @Override
  public void close() {
    boolean marked = false;
    try {
      if (before != null) {
        mark(); // what that needs is there then
        land(before);
      }
      mark();
      marked = true;
      Throwable failed = null;
      for (Part part : parts) {
        failed = space.tellLanded(part.slot, part.offset, part.ram.byteSize(), failed);
      }
      EmbeddedLog.rethrow(failed);
    } catch (InternalError e) {
      mark(); // a fault of the write itself came late
      throw e;
    } finally {
      if (!marked) {
        // ORDER H4 volatile: what has landed, then this. Pairs with the look under the collector
        // lock. If weaker: whoever reads the pages after that look does not see the write.
        doubt.set = true; // calls nothing
      }
      abandon();
    }
  }

  /** It is over, marked or not. */
  void abandon() {
    try {
      space.ended(pending);
    } finally {
      release();
    }
  }

  private void land(MemorySegment old) {
    for (Part part : parts) {
      MemorySegment from = part(target, part);
      MemorySegment was = part(old, part);
      for (long at = 0; at < part.ram.byteSize(); at++) {
        byte now = from.get(ValueLayout.JAVA_BYTE, at);
        if (now != was.get(ValueLayout.JAVA_BYTE, at)) {
          part.ram.set(ValueLayout.JAVA_BYTE, at, now);
        }
      }
    }
  }

  private void mark() {
    for (Part part : parts) {
      space.markLanded(part.slot, part.offset, part.ram.byteSize());
    }
  }

  private void release() {
    Throwable failed = null;
    for (Part part : parts) {
      if (part.pin != null) {
        try {
          part.pin.release();
        } catch (Throwable e) { // what is left of it is done by a later call
          failed = failed == null ? e : failed;
        }
      }
    }
    EmbeddedLog.rethrow(failed);
  }

  @Override
  public String toString() {
    return "AsyncWrite[0x" + Long.toHexString(address) + " + " + length + "]";
  }
}
