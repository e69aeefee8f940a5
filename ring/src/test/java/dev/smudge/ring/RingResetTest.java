package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a reset arms and gives back. The time limit is for resets that do not return. */
@ParameterizedClass
@EnumSource(RingMemory.class)
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingResetTest {
  private static final long LAST_WORD = (1L << 58) - 1;

  private final RingMemory memory;
  private final TestRing test;

  RingResetTest(RingMemory memory) {
    this.memory = memory;
    this.test = new TestRing(memory.ring(256, 1));
  }

  /** Pushes, harvests and resets these; the calls have to be those of the model. */
  private List<Armed> assertArmedAsModel(List<Page> pages) {
    test.armed.clear();
    test.push(pages);
    assertEquals(pages, test.take());
    assertEquals(Armed.model(pages), test.armed);
    return test.armed;
  }

  /** The peer: pushes and harvests what each call gives back, from inside of the reset. */
  @ParameterizedTest
  @ValueSource(ints = {2, 64, 128, 256, 1024})
  void bug09_peerDirtiesAndHarvestsAgainDuringReset_oneRoundAtMost(int size) {
    TestRing peer = new TestRing(memory.ring(size, 0));
    HarvestedPages sink = new HarvestedPages(100 * size);
    long[] armed = {0};
    RingArmer armer =
        (slotId, word, mask) -> {
          assertTrue(++armed[0] <= 20L * size, "it does not end");
          while (peer.push(new Page(0, 64 * peer.ring.producer().pushed()))) {}
          peer.ring.harvester().harvest(sink);
        };
    for (int i = 1; i <= 10; i++) {
      while (peer.push(new Page(0, 64 * peer.ring.producer().pushed()))) {}
      peer.ring.harvester().harvest(sink);
      assertEquals(size, peer.ring.resetter().reset(armer));
      assertEquals((long) i * size, armed[0]);
    }
  }

  @Test
  void bug10_nothingHarvested_callsNoArmer() {
    RingArmer never = (slotId, word, mask) -> fail("armed");
    assertEquals(0, test.ring.resetter().reset(never));
    test.push(Page.of(1));
    assertEquals(0, test.ring.resetter().reset(never), "dirty only");
    test.take();
    assertEquals(0, test.ring.resetter().reset(never), "all given back");
    assertEquals(0, test.ring.resetter().noteResets());
  }

  @Test
  void bug10_alternateSlots_areNotMerged() {
    List<Page> pages = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      pages.add(new Page(i % 2, 7));
    }
    assertEquals(20, assertArmedAsModel(pages).size());
  }

  @Test
  void bug10_descendingOffsetsOfOneWord_areOneCall() {
    List<Page> pages = new ArrayList<>();
    for (int i = 63; i >= 0; i--) {
      pages.add(new Page(1, 640 + i));
    }
    assertEquals(List.of(new Armed(1, 10, -1L)), assertArmedAsModel(pages));
  }

  @Test
  void bug10_adjacentEntriesOfOneWord_areOneCall() {
    assertEquals(
        List.of(new Armed(0, 1, 0b1000_0101), new Armed(0, 0, 1L << 63), new Armed(0, 1, 1)),
        assertArmedAsModel(Page.of(64, 66, 71, 66, 63, 64)));
  }

  @Test
  void bug10_deltasAroundAWord_areArmedAsTheModelSays() {
    long[] bases = {0, 1, 63, 64, 65, 127, 128, 1000, Long.MAX_VALUE, Long.MIN_VALUE, -1, -64, -65};
    long[] deltas = {0, 1, -1, 62, -62, 63, -63, 64, -64, 65, -65, 128, -128};
    for (long base : bases) {
      for (long first : deltas) {
        for (long second : deltas) {
          assertArmedAsModel(Page.of(base, base + first, base + first + second));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {63, 64, 65, 128, 129, 256})
  void bug10_moreThan64Entries_areArmedInAsFewCallsAsSaid(int count) {
    List<Page> pages = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      pages.add(new Page(0, i % 64));
    }
    test.turn(5);
    test.push(pages);
    assertEquals(pages, test.take());
    assertEquals(Armed.model(pages), Armed.merged(test.armed));
    assertTrue(test.armed.size() <= (count + 63) / 64, test.armed.size() + " calls");
  }

  @Test
  void bug11_pagesThatWrap_areArmedInTheirOwnWord() {
    assertEquals(
        List.of(new Armed(0, LAST_WORD, 2), new Armed(0, 0, 1)),
        assertArmedAsModel(Page.of(0xffff_ffff_ffff_ffc1L, 0)));
    assertEquals(
        List.of(new Armed(0, 0, 1), new Armed(0, LAST_WORD, 2)),
        assertArmedAsModel(Page.of(0, 0xffff_ffff_ffff_ffc1L)));
    assertEquals(
        List.of(new Armed(0, LAST_WORD, 3L << 62), new Armed(0, 0, 2)),
        assertArmedAsModel(Page.of(-1, -2, 1)));
    assertEquals(
        List.of(new Armed(0, 1L << 57, 1), new Armed(0, (1L << 57) - 1, 1L << 63)),
        assertArmedAsModel(Page.of(Long.MIN_VALUE, Long.MAX_VALUE)));
  }

  @Test
  void bug12_slotsAndPagesOfAllBits_passThrough() {
    List<Page> pages = new ArrayList<>();
    for (int slotId : new int[] {0xffff, 0x10000, 0xffff_ffff, 1 << 31, Integer.MAX_VALUE, 0}) {
      for (long page : new long[] {-1, 0xffff_ffffL, 1L << 32, Long.MIN_VALUE, 0}) {
        pages.add(new Page(slotId, page));
      }
    }
    assertArmedAsModel(pages);
  }

  @Test
  void bug14_partialHarvest_resetTakesThatPartAndTheNextTheRest() {
    test.turn(250);
    test.push(Page.apart(100));
    HarvestedPages part = new HarvestedPages(70);
    assertEquals(70, test.ring.harvester().harvest(part));
    assertEquals(70, test.reset());
    assertEquals(Page.apart(100).subList(0, 70), TestRing.read(part));
    assertEquals(0, test.reset());
    assertEquals(30, test.harvest());
    assertEquals(30, test.reset());
    assertEquals(Page.apart(100).subList(70, 100), TestRing.read(test.pages));
    assertEquals(Armed.model(Page.apart(100)), test.armed);
  }

  /** Whichever call throws: no page is lost, none given back twice, 64 at most armed again. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 63, 64, 65, 127, 128, 199})
  void bug14_armerThrows_theNextResetFinishes(int calls) {
    test.turn(200);
    List<Page> pages = Page.apart(200);
    test.push(pages);
    test.harvest();
    test.failAfter(calls);
    assertThrows(TestRing.ArmFailure.class, test::reset);
    List<Armed> before = List.copyOf(test.armed);
    assertEquals(Armed.model(pages).subList(0, calls), before);
    test.armed.clear();
    int rest = test.reset();
    assertTrue(200 - rest <= calls && calls < 200 - rest + 64, rest + " given back");
    assertEquals(Armed.model(pages).subList(200 - rest, 200), test.armed);
    assertEquals(0, test.reset());
    assertEquals(pages, TestRing.read(test.pages));
    assertRoomFor(256);
  }

  @Test
  void bug14_armerThrows_entriesOfThatStepAreNotGivenBack() {
    TestRing full = new TestRing(memory.ring(4, 0));
    full.push(Page.apart(4));
    full.harvest();
    full.failAfter(3);
    assertThrows(TestRing.ArmFailure.class, full::reset);
    assertFalse(full.push(new Page(0, 0)));
    assertEquals(4, full.reset());
    full.push(Page.apart(4));
  }

  @Test
  void bug14_gap_resetStopsThereAndTheNextFinishes() {
    RawRing raw = new RawRing(8);
    TestRing gap = new TestRing(DirtyRing.over(raw.buffer, 0));
    gap.push(Page.apart(8));
    assertEquals(8, gap.harvest());
    raw.flags(3, RingLayout.DIRTY);
    assertEquals(3, gap.reset());
    assertEquals(0, gap.reset());
    assertFalse(gap.pages.isReset());
    gap.push(Page.of(90, 91, 92));
    assertFalse(gap.push(new Page(0, 93)), "nothing behind the gap is free");
    raw.flags(3, RingLayout.RESET);
    assertEquals(5, gap.reset());
    assertEquals(Page.apart(8), TestRing.read(gap.pages));
    assertEquals(Page.of(90, 91, 92), gap.take());
  }

  @Test
  void reset_fromItsOwnArmer_isRefusedAndNothingIsGivenBackTwice() {
    test.push(Page.apart(100));
    test.harvest();
    test.push(Page.of(5));
    RingArmer again =
        (slotId, word, mask) -> assertThrows(IllegalStateException.class, test::reset);
    assertEquals(100, test.ring.resetter().reset(again));
    assertEquals(List.of(), test.armed);
    assertEquals(Page.apart(100), TestRing.read(test.pages));
    assertEquals(Page.of(5), test.take());
    assertRoomFor(256);
  }

  private void assertRoomFor(int count) {
    test.push(Page.apart(count));
    assertFalse(test.push(new Page(0, 0)));
  }
}
