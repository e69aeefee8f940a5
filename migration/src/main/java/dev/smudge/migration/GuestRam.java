package dev.smudge.migration;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The RAM of a guest, as one end of a migration sees it.
 *
 * <p>The client is for the migration alone. At the source it sees every page as dirty ({@code
 * InitialView.ALL_DIRTY}), or none if it was made before the guest, on RAM that is all zero. At the
 * destination RAM is all zero, and the client is made with {@code InitialView.NONE_DIRTY}: pages
 * that arrive are dirty for all other clients of the log, but not for this one. A migration onward
 * by this client sends them all the same.
 *
 * <p>With several connections, one thread per connection calls the port at the same time, each for
 * different pages. {@code GuestMemory.pages()} allows that, and so does a port that only copies
 * arrays.
 *
 * @param client for the migration alone; closed by its owner, after the migration
 * @param slots all slots of the guest; they must not be changed while it moves
 * @param pages reads and writes the guest's pages, of at most 16 MiB each
 * @param <S> what the client calls a slot
 */
public record GuestRam<S>(DirtyClient<S> client, List<S> slots, PagePort<S> pages) {
  /**
   * Makes it.
   *
   * @throws IllegalArgumentException if two slots have the same number, there are more than 8,192,
   *     their pages have a size that is no multiple of 8 from 8 to 16 MiB, or {@code pages} has
   *     another number or size of pages than a {@link LogSlot}
   */
  public GuestRam {
    Objects.requireNonNull(client, "client");
    slots = List.copyOf(slots);
    Map<Integer, S> byId = new HashMap<>();
    for (S slot : slots) {
      int bytes = pages.pageBytes(slot);
      if (bytes < 8 || bytes % 8 != 0 || bytes > StreamLayout.MAX_PAGE) {
        throw new IllegalArgumentException(
            "a page of "
                + slot
                + " has "
                + bytes
                + " bytes: it has to be a multiple of 8, at most 16 MiB");
      }
      if (slot instanceof LogSlot of
          && (pages.pageSize(slot) != of.pageSize() || pages.pageCount(slot) != of.pageCount())) {
        throw new IllegalArgumentException(
            "the page port says that "
                + slot
                + " has "
                + pages.pageCount(slot)
                + " pages of "
                + pages.pageSize(slot)
                + " units, so that other pages would be marked than are written");
      }
      if (byId.put(pages.slotId(slot), slot) != null) {
        throw new IllegalArgumentException("two slots have the number " + pages.slotId(slot));
      }
    }
    if (slots.size() > StreamLayout.MAX_SENT_SLOTS) {
      throw new IllegalArgumentException(
          slots.size() + " slots; at most " + StreamLayout.MAX_SENT_SLOTS + " can be migrated");
    }
  }

  List<SlotShape> shapes() {
    return slots.stream()
        .map(
            slot -> new SlotShape(pages.slotId(slot), pages.pageCount(slot), pages.pageBytes(slot)))
        .toList();
  }
}
