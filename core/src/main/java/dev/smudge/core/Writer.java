package dev.smudge.core;

import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap.PartConsumer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Writes bytes to slots, once. The source may be guest RAM too: where one part of the write would
 * overwrite what a later part still has to copy, the rest is copied from a buffer.
 */
final class Writer implements PartConsumer {
  private MemorySegment source;

  Writer(MemorySegment source) {
    this.source = source;
  }

  @Override
  public void accept(MappedSlot slot, long offset, long done, long length) {
    long past = done + length;
    if (past < source.byteSize() && isInTheWay(slot.ram().asSlice(offset, length), past)) {
      MemorySegment buffer = Arena.ofAuto().allocate(source.byteSize());
      MemorySegment.copy(source, done, buffer, done, source.byteSize() - done);
      source = buffer;
    }
    MemorySegment.copy(source, done, slot.ram(), offset, length);
  }

  private boolean isInTheWay(MemorySegment target, long past) {
    return source.asSlice(past).asOverlappingSlice(target).isPresent();
  }
}
