package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.SlotTracker;
import java.util.function.UnaryOperator;

/**
 * The manual-clear cache: what one tracker has told of one slot, and what was not cleared there
 * since. Under the collector lock.
 *
 * <p><b>Why it is there.</b> Page P is written (v1); two clients A and B are told of it; A clears P
 * in the tracker and reads v1; P is written again (v2) and its bit is set again. If B now cleared P
 * because of what it was told before, the new bit would be gone, and A would never learn of v2. So
 * a clear takes only bits that are here, out of here: whoever comes second finds none and clears
 * nothing.
 *
 * <p><b>Order.</b> New bits go into every view before they are counted as told, and pages are
 * cleared in the tracker before they are forgotten here. If either is cut short by an error, the
 * next call does it again. Source: docs/design.md 3.4, docs/bugs.md row 3.
 */
public final class FetchedBits {
  private final SlotTracker part;
  private final PageSet told;

  FetchedBits(SlotTracker part, PageSet told) {
    this.part = part;
    this.told = told;
  }

  SlotTracker part() {
    return part;
  }

  boolean isEmpty() {
    return told.isEmpty();
  }

  /** What was told and is not cleared; the caller must not change it. */
  PageSet told() {
    return told;
  }

  /** Every page counts as told: none is armed. */
  void countAllAsTold() {
    told.addAll();
  }

  /**
   * Fetches, and tells the clients of what is new.
   *
   * @return how many pages were new
   */
  long collect(SlotViews views) {
    return collect(views, UnaryOperator.identity());
  }

  /**
   * Fetches, tells the clients, and clears in one step, where the tracker can. What is cleared is
   * in every view, so nothing has to be remembered here for a later clear. A page that counts as
   * told from before stays so, and is in every view: whoever takes it first clears it once more,
   * which wipes no write that anybody has to be told of, because nobody has read the page since.
   *
   * @return whether something was cleared
   */
  boolean collectAndClear(SlotViews views) {
    return ((ClearingTracker) part).collectAndClear(views.all());
  }

  boolean canCollectAndClear() {
    return part instanceof ClearingTracker;
  }

  /** As {@link #collect(SlotViews)}, with another sink in front. */
  long collect(SlotViews views, UnaryOperator<PageWordConsumer> front) {
    Fetch fetch = new Fetch(views);
    try {
      part.collect(front.apply(fetch));
    } finally {
      fetch.over = true;
    }
    return fetch.pages;
  }

  private final class Fetch implements PageWordConsumer {
    private final SlotViews views;
    private long pages;
    private boolean over; // whoever uses it after that holds no lock

    Fetch(SlotViews views) {
      this.views = views;
    }

    @Override
    public void accept(int wordIndex, long bits) {
      if (over) {
        throw new IllegalStateException(
            "the sink of a tracker's collect was used after the call: the next call tells of it");
      }
      // What is here already is in every view, or was in it and cleared with what is here.
      long news = bits & ~told.word(wordIndex);
      if (news != 0) {
        views.tell(wordIndex, news);
        told.add(wordIndex, news);
        pages += Long.bitCount(news);
      }
    }
  }

  /** Tells everybody once more of what is not cleared. */
  void tellAgain(SlotViews views) {
    told.forEachWord(views::tell);
  }

  /** A clear of those of some pages that were told; {@link ClearRanges#run} makes it. */
  ClearRanges clear(PageSet pages) {
    return new ClearRanges(this, pages);
  }

  void forget(PageSet pages) {
    told.removeAll(pages);
  }

  void forget(int wordIndex, long bits) {
    told.remove(wordIndex, bits);
  }
}
