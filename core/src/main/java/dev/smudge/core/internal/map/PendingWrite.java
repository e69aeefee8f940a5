package dev.smudge.core.internal.map;

/** A write that lands later, and is marked then. */
public interface PendingWrite {
  /** {@return whether it is to any of these bytes of the memory that a slot is over} */
  boolean isTo(MappedSlot slot, long offset, long length);
}
