package dev.smudge.ring;

import org.jspecify.annotations.Nullable;

/**
 * Pages that were harvested from a ring, and cannot be read yet.
 *
 * <p>The order is harvest, reset, barrier, read. If a page's content were read before the reset
 * armed the page again, a write between the two would be lost, because nobody reports it. So only
 * {@link #forEachPage} hands the pages out. It refuses before the reset, and runs the barrier
 * itself.
 *
 * <p>An object can be used for any number of harvests. It is for one thread at a time, which may
 * differ from the resetter's.
 */
public final class HarvestedPages {
  private static final int CHUNK = 512; // entries that stay in the nearest cache

  // Filled by RingEntries.
  final int[] slotIds;
  final long[] pages;
  int to;

  private int from;
  private @Nullable RingProgress progress;
  private long end; // of the last harvest, in entries since the ring was made
  private boolean handingOut;

  /**
   * Makes an empty one.
   *
   * @param capacity most pages that it holds, at least 1
   * @throws IllegalArgumentException if it is less
   */
  public HarvestedPages(int capacity) {
    if (capacity < 1) {
      throw new IllegalArgumentException("capacity " + capacity + " is less than 1");
    }
    this.slotIds = new int[capacity];
    this.pages = new long[capacity];
  }

  /** {@return how many pages it holds} */
  public int size() {
    return to - from;
  }

  /** Makes ready for pages of a ring. */
  void begin(RingProgress ring) {
    checkNotHandingOut();
    if (from == to) {
      from = 0;
      to = 0;
      progress = ring;
    } else if (progress != ring) {
      throw new IllegalStateException(
          "these are " + size() + " pages of another ring: reset that one and read them first");
    }
  }

  /**
   * Harvests at most one round of a ring, as far as there is room. {@code to} says how many
   * entries, also when this is cut short by an error.
   */
  void harvest(RingEntries entries, long first) {
    int had = to;
    int most = Math.min(pages.length - to, entries.mask + 1);
    try {
      int found;
      int row;
      do {
        int count = to - had;
        row = entries.inRow(first + count, Math.min(most - count, CHUNK));
        found = entries.harvest(first + count, row, this);
      } while (found == row && to - had < most);
    } finally {
      if (to > had) {
        end = first + to - had;
      }
    }
  }

  private void checkNotHandingOut() {
    if (handingOut) {
      throw new IllegalStateException(
          "these pages are being handed out: neither their barrier nor their consumer can use them");
    }
  }

  /** {@return whether all harvested entries were given back, so that the pages are armed again} */
  public boolean isReset() {
    RingProgress ring = progress;
    // R4: the re-arming is visible.
    return from == to || ring == null || ring.resetAcquire() >= end;
  }

  /**
   * Runs the barrier, then hands out the pages in the order of their push, and forgets them. A page
   * may come several times. Allocates nothing.
   *
   * @param barrier returns when every store that was not reported, because its page was not armed
   *     before this call, is visible (docs/design.md 3.3); not run if there are no pages
   * @param consumer gets the pages, whose content may be read. If it throws, the exception comes
   *     through, and that page and all later ones are still here
   * @throws IllegalStateException if they have not all been reset, or if the barrier or the
   *     consumer calls this, or harvests into these pages; nothing is changed
   */
  public void forEachPage(Runnable barrier, RingPageConsumer consumer) {
    checkNotHandingOut();
    if (from == to) {
      return;
    }
    if (!isReset()) {
      throw new IllegalStateException(
          "these "
              + size()
              + " pages are not armed again yet, and a write after they are read would be lost:"
              + " RingResetter.reset comes first");
    }
    handingOut = true;
    try {
      barrier.run();
      while (from < to) {
        consumer.accept(slotIds[from], pages[from]);
        from++;
      }
    } finally {
      handingOut = false;
    }
  }

  @Override
  public String toString() {
    return "HarvestedPages[" + size() + (isReset() ? ", reset]" : ", not reset]");
  }
}
