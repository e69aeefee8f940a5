package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;

/** A ring, one set of pages for all of it, and an armer that takes notes. */
final class TestRing implements RingArmer {
  final DirtyRing ring;
  final HarvestedPages pages;
  final List<Armed> armed = new ArrayList<>();
  private int armsLeft = Integer.MAX_VALUE;

  TestRing(DirtyRing ring) {
    this.ring = ring;
    this.pages = ring.newHarvest();
  }

  /** What the armer throws. */
  static final class ArmFailure extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  void failAfter(int calls) {
    armsLeft = calls;
  }

  @Override
  public void arm(int slotId, long wordIndex, long mask) {
    if (armsLeft-- == 0) {
      throw new ArmFailure();
    }
    armed.add(new Armed(slotId, wordIndex, mask));
  }

  void push(List<Page> pushed) {
    for (Page page : pushed) {
      assertTrue(push(page), "full");
    }
  }

  boolean push(Page page) {
    return ring.producer().push(page.slotId(), page.pageIndex());
  }

  int harvest() {
    return ring.harvester().harvest(pages);
  }

  int reset() {
    return ring.resetter().reset(this);
  }

  /** What an exception says, in parts. */
  static void assertSays(Throwable thrown, String... parts) {
    String message = String.valueOf(thrown.getMessage());
    for (String part : parts) {
      assertTrue(message.contains(part), "'" + message + "' lacks " + part);
    }
  }

  /** Reads what was harvested and reset. */
  static List<Page> read(HarvestedPages from) {
    List<Page> read = new ArrayList<>();
    from.forEachPage(() -> {}, (slotId, page) -> read.add(new Page(slotId, page)));
    assertEquals(0, from.size());
    return read;
  }

  /** Harvests, resets and reads all. */
  List<Page> take() {
    int count = harvest();
    assertEquals(count, reset());
    return read(pages);
  }

  /** Goes so many entries round: the next is pushed at another place. */
  void turn(int count) {
    for (int i = 0; i < count; i++) {
      push(Page.of(i));
      take();
    }
    armed.clear();
  }
}
