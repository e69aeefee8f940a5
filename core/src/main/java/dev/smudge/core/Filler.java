package dev.smudge.core;

import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotMap.PartConsumer;

/** Sets bytes of each part. No lambda over a byte: it may stay unlinked (docs/design.md 3.8). */
record Filler(byte value) implements PartConsumer {
  @Override
  public void accept(MappedSlot slot, long offset, long done, long length) {
    slot.fill(offset, length, value);
  }
}
