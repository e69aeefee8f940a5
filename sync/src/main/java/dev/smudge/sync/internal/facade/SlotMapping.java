package dev.smudge.sync.internal.facade;

import dev.smudge.sync.internal.collect.Slot;

/** What the users of a client call a slot: a {@code LogSlot}, or a {@code GuestSlot}. */
public interface SlotMapping<S> {
  /** {@return the user's slot} */
  S toUser(Slot slot);

  /** {@return the slot behind a user's} */
  Slot toSlot(S slot);
}
