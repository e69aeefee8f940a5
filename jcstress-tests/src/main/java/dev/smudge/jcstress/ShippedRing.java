package dev.smudge.jcstress;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;

/** The shipped ring. */
final class ShippedRing extends RingRoles {
  private final DirtyRing ring;
  private final HarvestedPages pages;

  ShippedRing(DirtyRing ring) {
    this.ring = ring;
    this.pages = ring.newHarvest();
  }

  @Override
  boolean push(int page) {
    return ring.producer().push(page, page);
  }

  @Override
  boolean harvest() {
    int count = ring.harvester().harvest(pages);
    if (pages.size() == 0 || !pages.isReset()) {
      return count > 0;
    }
    pages.forEachPage(
        () -> {}, (slotId, pageIndex) -> harvested(slotId, isArmed(slotId) ? pageIndex : -1)); // R4
    return true;
  }

  @Override
  boolean reset() {
    return ring.resetter()
            .reset((slotId, wordIndex, mask) ->
                armed(slotId, wordIndex * Long.SIZE + Long.numberOfTrailingZeros(mask)))
        > 0;
  }
}
