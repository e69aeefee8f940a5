package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.verify.PageContent;
import org.jspecify.annotations.Nullable;

/**
 * Has another tracker say which pages were written: no copies, and a write that leaves the content
 * as it was is found too. Which byte it was is not known.
 */
final class VerifiedByOracle extends VerifiedSlot {
  private final FetchedBits oracle;
  private final PageSet written; // as the oracle says, and not looked at yet

  /**
   * Makes one that knows no page.
   *
   * @throws RuntimeException of the oracle's, if it cannot track the slot
   */
  VerifiedByOracle(Slot slot, Tracker tracker, @Nullable PageContent content) {
    super(slot, content);
    this.written = new PageSet(slot.pageCount());
    PageSet told = new PageSet(slot.pageCount());
    SlotTracker part = Slot.newPart(tracker, tracked());
    this.oracle = new FetchedBits(part, told);
    boolean started = false;
    try {
      part.add();
      part.start();
      oracle.countAllAsTold();
      started = true;
    } finally {
      if (!started) {
        part.close();
      }
    }
  }

  /** What the oracle has found goes into {@link #written}, and is found anew from here on. */
  private void fetch() {
    oracle.part().expectClear();
    oracle
        .part()
        .collect((wordIndex, bits) -> {
          written.add(wordIndex, bits);
          oracle.told().add(wordIndex, bits);
        });
    oracle.clear(oracle.told()).run();
    oracle.told().clear();
  }

  @Override
  void learn(PageSet pages) {
    fetch();
    written.removeAll(pages); // what was written before they are known does not count
    pages.forEachRun((first, count) -> {
      for (long page = first; page < first + count; page++) {
        isKnown(page);
      }
    });
  }

  @Override
  void look(String between, long look) {
    fetch();
    for (long page = written.nextPage(0); page >= 0; page = written.nextPage(page + 1)) {
      if ((knownOf((int) (page >>> 6)) >>> page & 1) != 0 && !differences().containsKey(page)) {
        differences()
            .put(
                page,
                new Difference(
                    page, 0, "was written and nobody marked it: a store came", between, look));
      }
    }
    written.clear();
  }

  @Override
  void close() {
    oracle.part().stop();
    oracle.part().close();
  }
}
