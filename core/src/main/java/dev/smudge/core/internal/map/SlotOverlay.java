package dev.smudge.core.internal.map;

import dev.smudge.core.internal.ram.RamRange;
import dev.smudge.core.internal.ram.SparseRam;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What a transaction changes, laid over the map of slots of the time of each call: base slots that
 * go, plans of slots that come. Costs what is changed. Every step can be taken back. For one
 * thread.
 */
@SuppressWarnings("ReferenceEquality") // plans and slots are compared by identity
public final class SlotOverlay {
  private final Map<Integer, MappedSlot> hidden = new LinkedHashMap<>();
  private final Map<Integer, SlotPlan> plans = new HashMap<>();
  private final TreeMap<Long, SlotPlan> byAddress = new TreeMap<>(Long::compareUnsigned);
  private final List<Runnable> undo = new ArrayList<>();

  /**
   * The innermost open transaction; null if all are over, or the first was cut short as it began. A
   * field, because an end that is a call finds no room where the stack has ended.
   */
  public @Nullable Object innermost;

  /**
   * A step is being made, or an error has cut one short: then what is here may be half of it, and
   * is not to be committed. A field, as the other.
   */
  public boolean halfStep;

  /** {@return where {@link #rollBack} can go back to} */
  public int savepoint() {
    return undo.size();
  }

  /** Takes steps back. */
  public void rollBack(int savepoint) {
    while (undo.size() > savepoint) {
      undo.removeLast().run();
    }
  }

  Collection<MappedSlot> hidden() {
    return hidden.values();
  }

  Collection<SlotPlan> plans() {
    return byAddress.values();
  }

  /** What a slot is to be, or is. */
  public SlotPlan get(int id, SlotMap base) {
    SlotPlan plan = plans.get(id);
    if (plan != null) {
      return plan;
    }
    if (hidden.containsKey(id)) {
      throw new IllegalArgumentException("slot " + id + " is removed by this transaction");
    }
    return base.get(id).plan();
  }

  /** Hides a slot, or drops its plan. */
  public void remove(int id, SlotMap base) {
    SlotPlan plan = get(id, base);
    if (plans.get(id) == plan) {
      drop(plan);
      undo.add(() -> insert(plan));
    } else {
      MappedSlot slot = base.get(id);
      hidden.put(id, slot);
      undo.add(() -> hidden.remove(slot.log.id())); // no lambda over an int (docs/design.md 3.8)
    }
  }

  /** Adds a plan. */
  public void put(SlotPlan plan, SlotMap base) {
    SlotPlan other = plans.get(plan.id());
    if (other != null) {
      throw new IllegalArgumentException("slot " + plan.id() + " is in use: " + other);
    }
    checkAgainst(plan, base);
    Map.Entry<Long, SlotPlan> before = byAddress.floorEntry(plan.lastAddress());
    if (before != null && before.getValue().overlaps(plan)) {
      throw overlap(plan, before.getValue());
    }
    insert(plan);
    undo.add(() -> drop(plan));
  }

  private void insert(SlotPlan plan) {
    plans.put(plan.id(), plan);
    byAddress.put(plan.guestAddress(), plan);
  }

  private void drop(SlotPlan plan) {
    plans.remove(plan.id());
    byAddress.remove(plan.guestAddress());
  }

  private void checkAgainst(SlotPlan plan, SlotMap base) {
    if (base.has(plan.id()) && !isHidden(base.get(plan.id()))) {
      throw new IllegalArgumentException(
          "slot " + plan.id() + " is in use: " + base.get(plan.id()) + "; " + base.describe());
    }
    for (int i = base.firstEndingFrom(plan.guestAddress());
        i < base.slots().length && base.slots()[i].plan().overlaps(plan);
        i++) {
      if (!isHidden(base.slots()[i])) {
        throw overlap(plan, base.slots()[i]);
      }
    }
  }

  private static IllegalArgumentException overlap(SlotPlan plan, Object other) {
    return new IllegalArgumentException(
        SlotPlan.range(plan.guestAddress(), plan.size()) + " overlaps " + other);
  }

  private boolean isHidden(MappedSlot slot) {
    return hidden.get(slot.log.id()) == slot;
  }

  /** Refuses growth into RAM that something else is over; see {@link SparseRam}. */
  public void checkFresh(SlotPlan plan) {
    SparseRam ram = plan.own();
    boolean free = true;
    for (RamRange fresh : plan.fresh()) {
      free &= ram == null || ram.isFree(fresh.from(), fresh.end());
      for (SlotPlan other : plans.values()) {
        free &=
            other == plan || other.own() != ram || !fresh.overlaps(other.offset(), other.ramEnd());
      }
    }
    if (!free) {
      throw new IllegalArgumentException(
          plan
              + " cannot grow: the RAM behind it is used by another slot, a removed one that is not"
              + " closed, an open batch or a write that is under way");
    }
  }

  /**
   * Checks everything again, against the slots of now.
   *
   * @throws IllegalStateException if a slot that it is about is not there any more
   */
  void check(SlotMap now) {
    for (MappedSlot slot : hidden.values()) {
      if (!now.isCurrent(slot)) {
        throw new IllegalStateException(
            slot
                + " was changed by another commit meanwhile: close this transaction and begin again;"
                + " slots: "
                + now.describe());
      }
    }
    for (SlotPlan plan : plans.values()) {
      checkAgainst(plan, now);
      if (plan.own() == null && !plan.segment().scope().isAlive()) {
        throw new IllegalArgumentException("the RAM of " + plan + " is not alive any more");
      }
      SparseRam ram = plan.own();
      if (ram != null && ram.length() != 0) {
        checkFresh(plan);
      }
    }
  }
}
