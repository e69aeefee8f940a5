package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/** Slots that a change adds while there are clients: which of their pages are dirty for whom. */
final class AddedSlots {
  private final Collector collector;
  private final Collection<Slot> added;
  private final Collection<LeavingSlot> leaving;

  AddedSlots(Collector collector, Collection<Slot> added, Collection<LeavingSlot> leaving) {
    this.collector = collector;
    this.added = added;
    this.leaving = leaving;
  }

  /** A view for every client, and what is not dirty in it armed. */
  void start() {
    boolean taken = collector.clients().isAnyToTake();
    for (ClientView client : collector.clients().all()) {
      added.forEach(client::add);
      if (client.takes()) {
        for (LeavingSlot slot : leaving) {
          client.of(slot.slot()).forEachRun((first, count) -> slot.carry(first, count, client));
        }
      } else {
        added.forEach(slot -> client.of(slot).addAll()); // none of it is watched
      }
    }
    if (!taken) {
      leaving.forEach(LeavingSlot::tellAll); // there are watches, and nothing was tracked
    }
    Map<Slot, PageSet> carriedPages = carried();
    for (Slot slot : added) {
      PageSet carried = carriedPages.computeIfAbsent(slot, to -> new PageSet(to.pageCount()));
      PageSet fresh = new PageSet(slot.pageCount());
      fresh.addAll();
      fresh.removeAll(carried);
      for (ClientView client : collector.clients().all()) {
        client.of(slot).addAll(fresh);
      }
      slot.fetched().part().start();
      collector.devices().logStart(slot);
      if (taken && !carried.isEmpty()) {
        collector.clear(slot, carried);
      }
    }
  }

  /** The pages of the new slots that are carried over. */
  private Map<Slot, PageSet> carried() {
    Map<Slot, PageSet> carried = new HashMap<>();
    for (LeavingSlot from : leaving) {
      from.forEachCarry((to, first, count) ->
          carried
              .computeIfAbsent(to, slot -> new PageSet(slot.pageCount()))
              .addRange(first, count));
    }
    return carried;
  }
}
