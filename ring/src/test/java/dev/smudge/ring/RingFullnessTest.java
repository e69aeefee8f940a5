package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** When a ring is full, soft full, and how much waits in it; at every place of the wrap. */
@ParameterizedClass
@EnumSource(RingMemory.class)
class RingFullnessTest {
  private static final int ROUNDS = 5;

  private final RingMemory memory;

  RingFullnessTest(RingMemory memory) {
    this.memory = memory;
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 16, 128})
  void isSoftFull_anyFill_isExactAtSizeLessReserve(int size) {
    for (int reserve : new int[] {0, 1, size / 2, size - 1}) {
      TestRing test = new TestRing(memory.ring(size, reserve));
      RingProducer producer = test.ring.producer();
      for (int turn = 0; turn < ROUNDS * size; turn++) {
        for (int used = 0; used < size; used++) {
          assertEquals(used >= size - reserve, producer.isSoftFull(), used + " of " + size);
          test.push(Page.of(used));
        }
        assertTrue(producer.isSoftFull(), "full");
        assertEquals(size, test.harvest());
        assertTrue(producer.isSoftFull(), "harvested is not free");
        assertEquals(size, test.reset());
        assertFalse(producer.isSoftFull(), "reset");
        TestRing.read(test.pages);
        test.turn(1);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 16})
  void isSoftFull_partsReset_isExact(int size) {
    TestRing test = new TestRing(memory.ring(size, 1));
    RingProducer producer = test.ring.producer();
    for (int turn = 0; turn < ROUNDS * size; turn++) {
      while (producer.push(0, 0)) {}
      for (int used = size - 1; used >= 0; used--) {
        HarvestedPages one = new HarvestedPages(1);
        assertEquals(1, test.ring.harvester().harvest(one));
        assertEquals(used + 1 >= size - 1, producer.isSoftFull(), used + 1 + " of " + size);
        assertEquals(1, test.reset());
        assertEquals(used >= size - 1, producer.isSoftFull(), used + " of " + size);
      }
      test.turn(1);
    }
  }

  @Test
  void push_harvestedAndNotReset_isRefused() {
    TestRing test = new TestRing(memory.ring(4, 0));
    test.push(Page.of(1, 2, 3, 4));
    assertFalse(test.push(new Page(0, 5)));
    test.harvest();
    assertFalse(test.push(new Page(0, 5)));
    assertEquals(4, test.reset());
    assertEquals(Page.of(1, 2, 3, 4), TestRing.read(test.pages));
    test.push(Page.of(5, 6, 7, 8));
    assertFalse(test.push(new Page(0, 9)));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 16, 64, 128})
  void bug32_sizePlusKPushesWithoutALook_exactlyKAreRefusedAndNoneOverwritten(int size) {
    TestRing test = new TestRing(memory.ring(size, 1));
    for (int extra = 0; extra <= size + 3; extra++) {
      List<Page> accepted = new ArrayList<>();
      int refused = 0;
      long before = test.ring.producer().pushed();
      for (int i = 0; i < size + extra; i++) {
        Page page = new Page(i, 1000L * i);
        if (test.push(page)) {
          accepted.add(page);
        } else {
          refused++;
        }
      }
      assertEquals(extra, refused);
      assertEquals(before + size, test.ring.producer().pushed());
      assertEquals(size, accepted.size());
      assertEquals(accepted, test.take());
      test.turn(1);
    }
  }

  @Test
  void bug32_ringOfBytes_refusedPushWritesNothing() {
    RawRing raw = new RawRing(4);
    TestRing test = new TestRing(DirtyRing.over(raw.buffer, 0));
    test.push(Page.of(1, 2, 3, 4));
    byte[] full = raw.bytes();
    assertFalse(test.push(new Page(-1, -1)));
    assertArrayEquals(full, raw.bytes());
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 16})
  void hasAtLeast_anyFill_isExact(int size) {
    TestRing test = new TestRing(memory.ring(size, 0));
    for (int turn = 0; turn < 2 * size; turn++) {
      for (int dirty = 0; dirty <= size; dirty++) {
        for (int count = 1; count <= size; count++) {
          assertEquals(dirty >= count, test.ring.harvester().hasAtLeast(count));
        }
        if (dirty < size) {
          test.push(Page.of(dirty));
        }
      }
      test.harvest();
      assertFalse(test.ring.harvester().hasAtLeast(1), "harvested");
      test.reset();
      assertFalse(test.ring.harvester().hasAtLeast(1), "free");
      TestRing.read(test.pages);
      test.turn(1);
    }
  }
}
