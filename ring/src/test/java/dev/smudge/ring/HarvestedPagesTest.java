package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Harvest, reset, barrier, read: in that order. */
@ParameterizedClass
@EnumSource(RingMemory.class)
class HarvestedPagesTest {
  private final RingMemory memory;
  private final TestRing test;
  private final List<String> events = new ArrayList<>();

  HarvestedPagesTest(RingMemory memory) {
    this.memory = memory;
    this.test = new TestRing(memory.ring(128, 1));
  }

  private void assertRefused(HarvestedPages pages) {
    int size = pages.size();
    IllegalStateException e =
        assertThrows(
            IllegalStateException.class,
            () -> pages.forEachPage(() -> fail("barrier"), (slotId, page) -> fail("page")));
    TestRing.assertSays(e, size + " pages are not armed again", "reset");
    assertEquals(size, pages.size());
    assertFalse(pages.isReset());
    assertEquals("HarvestedPages[" + size + ", not reset]", pages.toString());
  }

  @Test
  void forEachPage_beforeReset_isRefusedAndChangesNothing() {
    test.push(Page.of(5, 6));
    test.harvest();
    assertRefused(test.pages);
    assertRefused(test.pages);
    assertEquals(2, test.reset());
    assertEquals("HarvestedPages[2, reset]", test.pages.toString());
    assertEquals(Page.of(5, 6), TestRing.read(test.pages));
  }

  @Test
  void forEachPage_afterAnEarlierReset_isRefused() {
    test.push(Page.of(5));
    test.harvest();
    test.reset();
    test.push(Page.of(6));
    test.harvest();
    assertRefused(test.pages);
    test.reset();
    assertEquals(Page.of(5, 6), TestRing.read(test.pages));
  }

  @Test
  void forEachPage_resetWasCutShort_isRefusedUntilTheNextHasFinished() {
    test.push(Page.apart(100));
    test.harvest();
    test.failAfter(99);
    assertThrows(TestRing.ArmFailure.class, test::reset);
    assertRefused(test.pages);
    test.reset();
    assertEquals(Page.apart(100), TestRing.read(test.pages));
  }

  @Test
  void forEachPage_twoSetsOfOneRing_eachWaitsForItsOwnEntries() {
    HarvestedPages second = test.ring.newHarvest();
    test.push(Page.apart(64));
    test.harvest();
    test.push(Page.of(8));
    test.ring.harvester().harvest(second);
    test.failAfter(64);
    assertThrows(TestRing.ArmFailure.class, test::reset);
    assertRefused(second);
    assertEquals(Page.apart(64), TestRing.read(test.pages));
    assertEquals(1, test.reset());
    assertEquals(Page.of(8), TestRing.read(second));
  }

  /** A harvest that finds nothing does not put off what the set has. */
  @Test
  void forEachPage_emptyHarvestAfterAnotherSetsHarvest_stillHandsOut() {
    HarvestedPages second = test.ring.newHarvest();
    test.push(Page.of(7));
    test.harvest();
    test.reset();
    test.push(Page.of(8));
    test.ring.harvester().harvest(second);
    assertEquals(0, test.harvest());
    assertTrue(test.pages.isReset());
    assertEquals(Page.of(7), TestRing.read(test.pages));
    assertRefused(second);
  }

  @Test
  void forEachPage_reset_runsTheBarrierOnceBeforeTheFirstPage() {
    test.push(Page.of(1, 2, 1));
    test.harvest();
    test.reset();
    test.pages.forEachPage(() -> events.add("barrier"), (slotId, page) -> events.add("" + page));
    assertEquals(List.of("barrier", "1", "2", "1"), events);
  }

  @Test
  void forEachPage_nothingHarvested_callsNothing() {
    HarvestedPages fresh = new HarvestedPages(1);
    assertTrue(fresh.isReset());
    assertEquals("HarvestedPages[0, reset]", fresh.toString());
    test.push(Page.of(1));
    test.take();
    for (HarvestedPages empty : List.of(fresh, test.pages)) {
      empty.forEachPage(() -> fail("barrier"), (slotId, page) -> fail("page"));
      assertEquals(0, test.ring.harvester().harvest(empty));
      empty.forEachPage(() -> fail("barrier"), (slotId, page) -> fail("page"));
    }
  }

  @Test
  void forEachPage_barrierThrows_keepsAll() {
    test.push(Page.of(1, 2));
    test.harvest();
    test.reset();
    IllegalStateException thrown = new IllegalStateException("vCPU 3 does not answer");
    Runnable barrier =
        () -> {
          throw thrown;
        };
    assertEquals(
        thrown,
        assertThrows(
            IllegalStateException.class,
            () -> test.pages.forEachPage(barrier, (slotId, page) -> fail("page"))));
    assertEquals(Page.of(1, 2), TestRing.read(test.pages));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2})
  void forEachPage_consumerThrows_keepsThatPageAndThoseBehind(int failing) {
    test.push(Page.of(10, 11, 12));
    test.harvest();
    test.reset();
    RingPageConsumer consumer =
        (slotId, page) -> {
          if (page == 10 + failing) {
            throw new UnsupportedOperationException();
          }
          events.add("" + page);
        };
    for (int i = 0; i < 2; i++) {
      assertThrows(
          UnsupportedOperationException.class,
          () -> test.pages.forEachPage(() -> events.add("barrier"), consumer));
      assertEquals(3 - failing, test.pages.size());
    }
    test.pages.forEachPage(() -> events.add("barrier"), (slotId, page) -> events.add("" + page));
    List<String> expected = new ArrayList<>(List.of("barrier", "10", "11", "12"));
    expected.addAll(1 + failing, List.of("barrier", "barrier"));
    assertEquals(expected, events);
    test.push(Page.of(20));
    assertEquals(Page.of(20), test.take(), "nothing is left behind");
  }

  @Test
  void harvest_behindWhatAConsumerLeft_keepsTheOrder() {
    test.push(Page.of(1, 2, 3));
    test.harvest();
    test.reset();
    RingPageConsumer failsAt2 =
        (slotId, page) -> {
          if (page == 2) {
            throw new UnsupportedOperationException();
          }
        };
    assertThrows(
        UnsupportedOperationException.class, () -> test.pages.forEachPage(() -> {}, failsAt2));
    test.push(Page.of(4));
    test.harvest();
    assertRefused(test.pages);
    test.reset();
    assertEquals(Page.of(2, 3, 4), TestRing.read(test.pages));
  }

  @Test
  void harvest_pagesOfAnotherRing_isRefusedAndNothingIsHarvested() {
    TestRing other = new TestRing(memory.ring(2, 0));
    other.push(Page.of(9));
    test.push(Page.of(1, 2));
    test.harvest();
    for (int i = 0; i < 2; i++) {
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class, () -> other.ring.harvester().harvest(test.pages));
      TestRing.assertSays(e, "2 pages of another ring");
      assertEquals(2, test.pages.size());
      assertEquals(0, other.ring.harvester().harvested());
      test.reset();
    }
    assertEquals(Page.of(1, 2), TestRing.read(test.pages));
    assertEquals(1, other.ring.harvester().harvest(test.pages), "empty: for any ring");
    assertRefused(test.pages);
    other.reset();
    assertEquals(Page.of(9), TestRing.read(test.pages));
  }

  @Test
  void harvest_lessRoomThanIsDirty_takesTheFirstAndLeavesTheRest() {
    HarvestedPages small = new HarvestedPages(3);
    test.push(Page.of(1, 2, 3, 4, 5));
    assertEquals(3, test.ring.harvester().harvest(small));
    assertEquals(0, test.ring.harvester().harvest(small));
    assertTrue(test.ring.harvester().hasAtLeast(2));
    assertFalse(test.ring.harvester().hasAtLeast(3));
    assertEquals(3, test.reset());
    assertEquals(Page.of(1, 2, 3), TestRing.read(small));
    assertEquals(2, test.ring.harvester().harvest(small));
    assertEquals(2, test.reset());
    assertEquals(Page.of(4, 5), TestRing.read(small));
    assertEquals(5, test.ring.harvester().harvested());
  }

  @Test
  void harvest_manyRoundsIntoOneSet_keepsTheOrder() {
    TestRing two = new TestRing(memory.ring(2, 0));
    HarvestedPages large = new HarvestedPages(100);
    List<Page> all = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      two.push(Page.of(i, -i));
      all.addAll(Page.of(i, -i));
      assertEquals(2, two.ring.harvester().harvest(large));
      assertEquals(2, two.reset());
    }
    assertEquals(all, TestRing.read(large));
  }

  @Test
  void forEachPage_consumerOrBarrierComesBackToThem_isRefusedAndNothingIsLost() {
    test.push(Page.of(1, 2, 3));
    test.harvest();
    test.reset();
    test.push(Page.of(4));
    Runnable comeBack =
        () -> {
          assertThrows(IllegalStateException.class, () -> TestRing.read(test.pages));
          assertThrows(IllegalStateException.class, test::harvest);
          events.add("" + test.pages.size());
        };
    test.pages.forEachPage(
        comeBack,
        (slotId, page) -> {
          comeBack.run();
          events.add("page " + page);
        });
    assertEquals(List.of("3", "3", "page 1", "2", "page 2", "1", "page 3"), events);
    assertEquals(Page.of(4), test.take());
  }
}
