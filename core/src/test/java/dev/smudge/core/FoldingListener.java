package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/** Makes a map of the slots from nothing but what it is told, and checks the order. */
final class FoldingListener implements MemoryListener {
  private final Set<GuestSlot> slots = new HashSet<>();
  private final Set<GuestSlot> logged = new HashSet<>();
  private final List<GuestSlot> told = new ArrayList<>(); // in this change: not those that go
  private long last; // address of the last call
  private boolean inside;
  private boolean closed;

  /** What was told until now amounts to these slots. */
  void assertAgrees(List<GuestSlot> now, boolean logging) {
    assertFalse(inside, "a change did not end");
    assertEquals(new HashSet<>(now), slots, "the folded map");
    assertEquals(logging ? slots : Set.of(), logged, "the logged slots");
  }

  void assertClosed() {
    assertAgrees(List.of(), false);
    assertTrue(closed);
  }

  @Override
  public void begin() {
    assertFalse(inside || closed);
    inside = true;
    told.clear();
    last = -1;
  }

  @Override
  public void regionDel(GuestSlot slot) {
    assertTrue(inside && told.isEmpty() && slots.remove(slot), () -> "gone: " + slot);
    assertTrue(Long.compareUnsigned(slot.guestAddress(), last) <= 0, "the highest first");
    last = slot.guestAddress();
  }

  @Override
  public void regionAdd(GuestSlot slot) {
    assertTrue(slots.add(slot), () -> "there already: " + slot);
    add(slot);
  }

  @Override
  public void regionUnchanged(GuestSlot slot) {
    assertTrue(slots.contains(slot), () -> "not there: " + slot);
    add(slot);
  }

  private void add(GuestSlot slot) {
    assertTrue(inside);
    assertTrue(
        told.isEmpty()
            || Long.compareUnsigned(told.getLast().guestAddress(), slot.guestAddress()) < 0,
        "the lowest first");
    told.add(slot);
  }

  @Override
  public void commit() {
    assertTrue(inside);
    assertEquals(slots, new HashSet<>(told), "every slot that stays or comes was told");
    inside = false;
  }

  private static GuestSlot guest(TrackedSlot slot) {
    return (GuestSlot) Objects.requireNonNull(slot.attachment());
  }

  @Override
  public Tracker tracker() {
    return slot ->
        new SlotTracker() {
          @Override
          public void start() {
            assertTrue(logged.add(guest(slot)), () -> "logged already: " + slot);
          }

          @Override
          public void stop() {
            assertTrue(logged.remove(guest(slot)), () -> "not logged: " + slot);
          }
        };
  }

  @Override
  public void close() {
    assertFalse(closed);
    closed = true;
  }
}
