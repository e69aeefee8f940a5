package dev.smudge.core;

import dev.smudge.core.TransactionModel.Ram;
import dev.smudge.core.TransactionModel.Slot;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** The steps of the open transactions of a {@link TransactionModel}: slots that go, and plans. */
@SuppressWarnings("ReferenceEquality") // slots and RAM are compared by identity
record ModelOverlay(TransactionModel model, Map<Integer, Slot> hidden, Map<Integer, Slot> plans) {
  ModelOverlay(TransactionModel model) {
    this(model, new HashMap<>(), new TreeMap<>());
  }

  ModelOverlay copy() {
    return new ModelOverlay(model, new HashMap<>(hidden), new TreeMap<>(plans));
  }

  private boolean isHidden(Slot slot) {
    return hidden.get(slot.id) == slot;
  }

  /** The slots as they are to be. */
  List<Slot> visible() {
    List<Slot> all = new ArrayList<>(plans.values());
    model.slots.values().stream().filter(slot -> !isHidden(slot)).forEach(all::add);
    all.sort((a, b) -> Long.compareUnsigned(a.address, b.address));
    return all;
  }

  Slot get(int id) {
    Slot plan = plans.get(id);
    Slot slot = plan == null && !hidden.containsKey(id) ? model.slots.get(id) : plan;
    TransactionModel.check(slot != null, "no slot " + id);
    return Objects.requireNonNull(slot);
  }

  void put(Slot plan) {
    for (Slot other : visible()) {
      TransactionModel.check(
          other.id != plan.id && !other.overlaps(plan), plan + " against " + other);
    }
    plans.put(plan.id, plan);
  }

  void remove(int id) {
    Slot slot = get(id);
    if (plans.remove(id) == null) {
      hidden.put(id, slot);
    }
  }

  private void replace(Slot plan) {
    remove(plan.id);
    put(plan);
  }

  void move(int id, long address) {
    Slot old = get(id);
    replace(old.part(id, address, old.size, old.offset));
  }

  void resize(int id, long size) {
    Slot old = get(id);
    TransactionModel.check(size <= old.size || old.ram.own, "not ours");
    Slot plan = old.part(id, old.address, size, old.offset);
    if (size > old.size) {
      plan.fresh.or(TransactionModel.units(old.offset + old.size, old.offset + size));
    }
    replace(plan);
    if (size > old.size) {
      checkFresh(plan);
    }
  }

  void split(int id, long at, int newId) {
    Slot old = get(id);
    TransactionModel.check(at > 0 && at < old.size && at % old.pageSize == 0, "offset");
    replace(old.part(id, old.address, at, old.offset));
    put(old.part(newId, old.address + at, old.size - at, old.offset + at));
  }

  void merge(int firstId, int secondId) {
    Slot first = get(firstId);
    Slot second = get(secondId);
    TransactionModel.check(
        first.address + first.size == second.address
            && second.address != 0
            && first.pageSize == second.pageSize
            && first.isOver(second)
            && first.offset + first.size == second.offset,
        "not side by side");
    remove(secondId);
    Slot both = first.part(firstId, first.address, first.size + second.size, first.offset);
    both.fresh.or(second.fresh);
    replace(both);
  }

  void replaceRam(int id, Ram ram, long start, long end) {
    Slot old = get(id);
    replace(new Slot(id, old.address, end - start, old.pageSize, ram, start, end, start));
  }

  private void checkFresh(Slot plan) {
    BitSet used = new BitSet();
    model.pins(plan.ram).forEach(pin -> used.or(TransactionModel.units(pin.from(), pin.end())));
    for (Slot other : plans.values()) {
      if (other != plan && other.ram == plan.ram) {
        used.or(TransactionModel.units(other.offset, other.offset + other.size));
      }
    }
    TransactionModel.check(!used.intersects(plan.fresh), "the RAM is in use");
  }

  /** Against the slots of now. */
  void check() {
    for (Slot slot : hidden.values()) {
      if (model.slots.get(slot.id) != slot) {
        throw new IllegalStateException(slot + " was changed meanwhile");
      }
    }
    for (Slot plan : plans.values()) {
      for (Slot other : model.slots.values()) {
        TransactionModel.check(
            isHidden(other) || (other.id != plan.id && !other.overlaps(plan)),
            plan + " against " + other);
      }
      checkFresh(plan);
    }
  }
}
