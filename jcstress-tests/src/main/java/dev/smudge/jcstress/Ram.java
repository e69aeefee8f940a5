package dev.smudge.jcstress;

import java.util.concurrent.ThreadLocalRandom;

/** Guest RAM: an int a page, each page on cache lines of its own. */
final class Ram {
  static final int PAGES = 8;
  private static final int PAGE_INTS = 32;

  /** Memory that is not in a core's own caches. */
  private static final int[] COLD = new int[1 << 23];

  private static final int COLD_STORES = 12;

  private final int[] cells = new int[(PAGES + 1) * PAGE_INTS];

  void store(int page, int value) {
    cells[(page + 1) * PAGE_INTS - 16] = value;
  }

  int load(int page) {
    return cells[(page + 1) * PAGE_INTS - 16];
  }

  int sum() {
    int sum = 0;
    for (int page = 0; page < PAGES; page++) {
      sum += load(page);
    }
    return sum;
  }

  void copyTo(int[] pages) {
    for (int page = 0; page < PAGES; page++) {
      pages[page] = load(page);
    }
  }

  /**
   * Stores to memory that is far away, so that the caller's next stores wait behind these in its
   * store buffer, while its loads do not.
   */
  static void fillStoreBuffer() {
    int at = ThreadLocalRandom.current().nextInt();
    for (int i = 0; i < COLD_STORES; i++) {
      COLD[at & COLD.length - 1] = at;
      at = at * 0x9E3779B1 + 0x1234567;
    }
  }
}
