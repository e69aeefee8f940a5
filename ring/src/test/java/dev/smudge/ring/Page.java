package dev.smudge.ring;

import java.util.ArrayList;
import java.util.List;

/** What an entry names. */
record Page(int slotId, long pageIndex) {
  /** Pages of slot 0. */
  static List<Page> of(long... pageIndexes) {
    List<Page> pages = new ArrayList<>();
    for (long pageIndex : pageIndexes) {
      pages.add(new Page(0, pageIndex));
    }
    return pages;
  }

  /** Pages 0 to {@code end}, that excluded, of slot 0; so no two words are the same in a row. */
  static List<Page> apart(int end) {
    List<Page> pages = new ArrayList<>();
    for (int i = 0; i < end; i++) {
      pages.add(new Page(0, 64L * i));
    }
    return pages;
  }
}
