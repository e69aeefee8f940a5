package dev.smudge.snapshot;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where the pages of one state are, flat: a look costs the same however many ancestors the state
 * has. The table goes from state to state along their tree, which costs what the states on the way
 * have. What a page was before a state is kept in that state when the table comes through it first.
 *
 * <pre>
 *         common ancestor
 *   undo ▲              │ apply
 *        │              ▼
 *       here          there
 * </pre>
 */
final class PlaceTable {
  private static final int BLOCK_SHIFT = 9;
  private static final int BLOCK = 1 << BLOCK_SHIFT;

  /** Places of a slot's pages; 0, where no page can be: it is zero. */
  private static final class Places {
    private long[][] blocks = {};

    long get(long page) {
      long block = page >>> BLOCK_SHIFT;
      long[] places = block < blocks.length ? blocks[(int) block] : null;
      return places == null ? 0 : places[(int) page & BLOCK - 1];
    }

    /** Sets a place, and returns the one of before. */
    long set(long page, long place) {
      int block = Math.toIntExact(page >>> BLOCK_SHIFT);
      if (block >= blocks.length) {
        blocks = Arrays.copyOf(blocks, Math.max(block + 1, blocks.length * 2));
      }
      long[] places = blocks[block];
      if (places == null) {
        places = new long[BLOCK];
        blocks[block] = places;
      }
      int index = (int) page & BLOCK - 1;
      long before = places[index];
      places[index] = place;
      return before;
    }

    long next(long page) {
      long at = page;
      for (long block = page >>> BLOCK_SHIFT; block < blocks.length; block++) {
        long[] places = blocks[(int) block];
        for (int i = (int) at & BLOCK - 1; places != null && i < BLOCK; i++) {
          if (places[i] != 0) {
            return (block << BLOCK_SHIFT) + i;
          }
        }
        at = 0; // the next block from its beginning
      }
      return Long.MAX_VALUE;
    }
  }

  private final StoreIndex index;
  private final Map<Integer, Places> slots = new HashMap<>();
  private @Nullable StoredState here; // null: the state before all, in which all pages are zero
  private boolean moving; // or a move was cut short: what is here is of no state

  /** Makes the table of the state before all. */
  PlaceTable(StoreIndex index) {
    this.index = index;
  }

  /**
   * Goes to a state. After a move that failed, the next one begins where the table was made.
   *
   * @param number the state's number; -1: that before all
   */
  void moveTo(long number) {
    if (moving) {
      slots.clear();
      here = null;
    }
    moving = true;
    StoredState to = index.states.get(number);
    StoreIndex.Way way = index.way(here, to);
    way.up().forEach(this::undo);
    for (int i = way.down().size() - 1; i >= 0; i--) {
      apply(way.down().get(i));
    }
    here = to;
    moving = false;
  }

  private void apply(StoredState state) {
    state.pages.forEach((slotId, pages) -> {
      Places places = slots.computeIfAbsent(slotId, id -> new Places());
      long[] before = pages.before();
      for (int i = 0; i < before.length; i++) {
        before[i] = places.set(pages.page(i), pages.place(i));
      }
    });
  }

  private void undo(StoredState state) {
    state.pages.forEach((slotId, pages) -> {
      Places places = slots.computeIfAbsent(slotId, id -> new Places());
      long[] before = pages.before();
      for (int i = 0; i < before.length; i++) {
        places.set(pages.page(i), before[i]);
      }
    });
  }

  /** {@return where a page is; -1: it is zero} */
  long find(int slotId, long page) {
    Places places = slots.get(slotId);
    long place = places == null ? 0 : places.get(page);
    return place == 0 ? -1 : place;
  }

  /** {@return the first page from one on that has a place; {@link Long#MAX_VALUE}: none has} */
  long next(int slotId, long page) {
    Places places = slots.get(slotId);
    return places == null ? Long.MAX_VALUE : places.next(page);
  }
}
