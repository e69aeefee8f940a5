package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The bytes that the kernel, or another process, shares with a ring in a direct buffer. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingBytesTest {
  private static final Page PAGE = new Page(0x0102_0304, 0x1112_1314_1516_1718L);

  private final RawRing raw = new RawRing(4);
  private final TestRing test = new TestRing(DirtyRing.over(raw.buffer, 1));

  private void assertBytes(int flags, long entry) {
    String expected =
        ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
            ? "0" + flags + "000000" + "04030201" + "1817161514131211"
            : "0000000" + flags + "01020304" + "1112131415161718";
    assertEquals(expected, HexFormat.of().formatHex(raw.bytes(entry)));
  }

  @Test
  void entry_pushedHarvestedReset_hasTheKernelsBytes() {
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < 4; i++) {
        test.push(List.of(PAGE));
        assertBytes(1, i);
        assertEquals(1, test.harvest());
        assertBytes(2, i);
        assertEquals(1, test.reset());
        assertBytes(0, i);
        assertEquals(List.of(PAGE), TestRing.read(test.pages));
      }
    }
  }

  @Test
  void entry_pushedHarvestedReset_leavesTheOthersAlone() {
    raw.put(1, 0x50, PAGE);
    raw.put(3, 0x60, PAGE);
    test.push(List.of(PAGE));
    test.take();
    assertEquals(0x50, raw.flags(1));
    assertEquals(PAGE, raw.page(1));
    assertEquals(new Page(0, 0), raw.page(2));
    assertEquals(0x60, raw.flags(3));
    assertEquals(PAGE, raw.page(3));
  }

  @Test
  void over_bufferInTheOtherOrderAndAtAPosition_isInNativeOrderFromThereOn() {
    ByteOrder other =
        ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN
            ? ByteOrder.LITTLE_ENDIAN
            : ByteOrder.BIG_ENDIAN;
    ByteBuffer buffer = ByteBuffer.allocateDirect(100).order(other).position(8).limit(8 + 64);
    DirtyRing ring = DirtyRing.over(buffer, 0);
    assertEquals(4, ring.entries());
    assertEquals(8, buffer.position());
    assertEquals(72, buffer.limit());
    for (int i = 0; i < 4; i++) {
      assertTrue(ring.producer().push(-1, -1));
    }
    buffer.clear().order(ByteOrder.nativeOrder());
    for (int i = 0; i < 4; i++) {
      assertEquals(1, buffer.getInt(8 + 16 * i));
      assertEquals(-1, buffer.getInt(8 + 16 * i + 4));
      assertEquals(-1, buffer.getLong(8 + 16 * i + 8));
    }
    assertEquals(0, buffer.getLong(0));
    assertEquals(0, buffer.getLong(72));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 0x7fff_fffd, 0x8000_0001, 0xffff_fffd})
  void harvest_externalProducer_takesEntriesWithBit0AndFlagsThemReset(int flags) {
    raw.put(0, flags, PAGE);
    raw.put(1, flags, new Page(1, 2));
    assertTrue(test.ring.harvester().hasAtLeast(2));
    assertEquals(2, test.harvest());
    assertEquals(RingLayout.RESET, raw.flags(0));
    assertEquals(RingLayout.RESET, raw.flags(1));
    assertEquals(0, raw.flags(2));
    assertEquals(2, test.reset());
    assertEquals(List.of(PAGE, new Page(1, 2)), TestRing.read(test.pages));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2, 3, 4, 0xffff_fffe, 0xffff_ffff})
  void harvest_entryThatIsNotDirty_stopsThereAndLeavesIt(int flags) {
    raw.put(0, 1, PAGE);
    raw.put(1, flags, PAGE);
    raw.put(2, 1, PAGE);
    assertFalse(test.ring.harvester().hasAtLeast(2));
    assertEquals(1, test.harvest());
    assertEquals(0, test.harvest());
    assertEquals(flags, raw.flags(1));
    assertEquals(1, raw.flags(2));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 6, 0xffff_fffe, 0xffff_ffff})
  void reset_externalHarvester_takesEntriesWithBit1(int flags) {
    test.push(List.of(PAGE, new Page(7, 0), PAGE));
    raw.flags(0, flags);
    raw.flags(1, flags);
    assertEquals(2, test.reset());
    assertEquals(Armed.model(List.of(PAGE, new Page(7, 0))), test.armed);
    assertEquals(0, raw.flags(0));
    assertEquals(0, raw.flags(1));
    assertEquals(1, raw.flags(2));
  }

  @Test
  void noteResets_externalResetter_countsInOrderWhatItHasReset() {
    for (int i = 0; i < 4; i++) {
      raw.put(i, 1, PAGE);
    }
    assertEquals(3, test.ring.harvester().harvest(new HarvestedPages(3)));
    HarvestedPages rest = new HarvestedPages(4);
    assertEquals(1, test.ring.harvester().harvest(rest));
    RingResetter resetter = test.ring.resetter();
    assertEquals(0, resetter.noteResets());
    raw.flags(0, 0);
    assertEquals(1, resetter.noteResets(), "a part");
    raw.flags(2, 0);
    raw.flags(3, 0);
    assertEquals(0, resetter.noteResets(), "entry 1 is a gap");
    assertFalse(rest.isReset());
    raw.flags(1, RingLayout.RESET | RingLayout.DIRTY);
    assertEquals(0, resetter.noteResets(), "3 is harvested");
    raw.flags(1, 0);
    assertEquals(3, resetter.noteResets(), "the gap is closed");
    assertEquals(0, resetter.noteResets());
    assertEquals(List.of(PAGE), TestRing.read(rest));
    assertEquals(List.of(), test.armed);
  }

  @Test
  void noteResets_entriesDirtyAgainOrNotHarvested_countsTheFirstAlone() {
    for (int i = 0; i < 4; i++) {
      raw.put(i, 1, PAGE);
    }
    HarvestedPages two = new HarvestedPages(2);
    assertEquals(2, test.ring.harvester().harvest(two));
    raw.put(0, 1, new Page(0, 9));
    raw.flags(1, 0);
    assertEquals(2, test.ring.resetter().noteResets(), "0 dirty again, 1 free; 2 not harvested");
    assertEquals(List.of(PAGE, PAGE), TestRing.read(two));
    assertEquals(3, test.harvest());
    assertEquals(0, test.ring.resetter().noteResets());
    raw.flags(2, 0);
    raw.flags(3, 0);
    raw.flags(0, 1);
    assertEquals(3, test.ring.resetter().noteResets());
    assertEquals(List.of(PAGE, PAGE, new Page(0, 9)), TestRing.read(test.pages));
  }

  /** The resetter was a round ahead of the note: what is flagged RESET is the next round's. */
  @Test
  void noteResets_aRoundLate_waitsForTheNextReset() {
    HarvestedPages first = new HarvestedPages(4);
    for (HarvestedPages into : List.of(first, test.pages)) {
      for (int i = 0; i < 4; i++) {
        raw.put(i, 1, PAGE);
      }
      assertEquals(4, test.ring.harvester().harvest(into));
    }
    assertEquals(0, test.ring.resetter().noteResets());
    for (int i = 0; i < 4; i++) {
      raw.flags(i, 0);
    }
    assertEquals(8, test.ring.resetter().noteResets());
    assertEquals(4, TestRing.read(first).size());
    assertEquals(4, TestRing.read(test.pages).size());
  }
}
