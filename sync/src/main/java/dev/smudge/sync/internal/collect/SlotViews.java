package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import org.jspecify.annotations.Nullable;

/**
 * Who is told of dirty pages of a slot: the views of all clients, or, once the slot was removed,
 * whoever has its pages now. Under the collector lock.
 */
final class SlotViews {
  private final long pageCount;
  private PageSet[] views = new PageSet[0];
  private @Nullable LeavingSlot leaving; // where its bits go since it was removed
  private @Nullable PageSet news; // pages out of rings, on their way; made by the first
  private @Nullable VerifiedSlot verified; // of the verify mode
  private int holders; // batches, and devices that leave, that use the slot

  SlotViews(long pageCount) {
    this.pageCount = pageCount;
  }

  /** Pages of one word are dirty for every client. */
  void tell(int wordIndex, long bits) {
    if (leaving != null) {
      for (long rest = bits; rest != 0; rest &= rest - 1) {
        leaving.tell(((long) wordIndex << 6) + Long.numberOfTrailingZeros(rest), 1);
      }
      return;
    }
    VerifiedSlot slot = verified;
    if (slot != null) {
      slot.reported(wordIndex, bits);
    }
    for (PageSet view : views) {
      view.add(wordIndex, bits);
    }
  }

  /** Pages of a range are dirty for every client. */
  void tellRange(long firstPage, long count) {
    if (leaving != null) {
      leaving.tell(firstPage, count);
      return;
    }
    known(firstPage, count);
    for (PageSet view : views) {
      view.addRange(firstPage, count);
    }
  }

  void tellAll() {
    if (leaving != null) {
      leaving.tell(0, pageCount);
      return;
    }
    known(0, pageCount);
    for (PageSet view : views) {
      view.addAll();
    }
  }

  void tell(PageSet pages) {
    LeavingSlot to = leaving;
    if (to != null) {
      pages.forEachRun(to::tell);
      return;
    }
    VerifiedSlot slot = verified;
    if (slot != null) {
      pages.forEachWord(slot::reported);
    }
    for (PageSet view : views) {
      view.addAll(pages);
    }
  }

  /** Pages of a range were reported, or written by a client that knows them. */
  void known(long firstPage, long count) {
    if (leaving != null) {
      leaving.forEachCarry((to, first, pages) -> to.views().known(first, pages));
      return;
    }
    VerifiedSlot slot = verified;
    if (slot != null) {
      slot.reported(firstPage, count);
    }
  }

  /** From here on the verify mode hears of each report; null: it does not. */
  void verifyBy(@Nullable VerifiedSlot by) {
    verified = by;
  }

  boolean isVerified() {
    return verified != null;
  }

  /** An empty set, for pages that come out of rings. */
  PageSet news() {
    PageSet set = news;
    if (set == null) {
      set = new PageSet(pageCount);
      news = set;
    }
    set.clear(); // of a time that was cut short, perhaps: its keys are there still
    return set;
  }

  /** The views of all clients; a caller must not change the array. */
  PageSet[] all() {
    return views;
  }

  void set(PageSet[] now) {
    views = now;
  }

  @Nullable LeavingSlot leaving() {
    return leaving;
  }

  /** It was removed: from here on its pages are told to others. */
  void leave(LeavingSlot to) {
    leaving = to;
  }

  /** It was not removed after all. */
  void comeBack() {
    leaving = null;
  }

  void hold() {
    holders++;
  }

  void letGo() {
    holders--;
  }

  boolean isHeld() {
    return holders > 0;
  }
}
