package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bad input: a message with what was given and what is allowed; nothing is changed. */
class RingInputTest {
  private static void assertRefused(Executable call, String... parts) {
    TestRing.assertSays(assertThrows(IllegalArgumentException.class, call), parts);
  }

  /** Refused, and no byte, nor position or limit, has changed. */
  private static void assertRefusedOver(ByteBuffer buffer, int reserve, String... parts) {
    ByteBuffer whole = buffer.duplicate().clear();
    byte[] before = new byte[whole.capacity()];
    whole.get(0, before);
    int position = buffer.position();
    int limit = buffer.limit();
    assertRefused(() -> DirtyRing.over(buffer, reserve), parts);
    assertEquals(position, buffer.position());
    assertEquals(limit, buffer.limit());
    byte[] after = new byte[whole.capacity()];
    whole.get(0, after);
    assertArrayEquals(before, after);
  }

  private static ByteBuffer filled(int bytes) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(bytes);
    for (int i = 0; i < bytes; i++) {
      buffer.put(i, (byte) i);
    }
    return buffer;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3, 65_535, 65_537, 131_072, 1 << 30, -1, -2, -65_536, 1 << 31})
  void allocate_entriesOutsideOrNoPowerOfTwo_isRefused(int entries) {
    assertRefused(
        () -> DirtyRing.allocate(entries, 0), entries + " entries", "power of two", "2 to 65536");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3, 65_535, 65_537, 131_072})
  void over_entriesOutsideOrNoPowerOfTwo_isRefused(int entries) {
    assertRefusedOver(filled(16 * entries), 0, entries + " entries", "power of two", "2 to 65536");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 17, 31, 33, 40})
  void over_bytesThatAreNoEntries_isRefused(int bytes) {
    assertRefusedOver(filled(bytes), 0, bytes + " bytes", "16");
    assertRefusedOver(filled(64).position(64 - bytes), 0, bytes + " bytes", "16");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 7, 9, 12})
  void over_misaligned_isRefused(int position) {
    assertRefusedOver(
        filled(64).position(position).limit(position + 32),
        0,
        "multiple of 8",
        position % 8 + " above");
  }

  @Test
  void over_heapOrReadOnly_isRefused() {
    ByteBuffer heap = ByteBuffer.allocate(32);
    assertRefusedOver(heap, 0, "direct", "writable", heap.toString());
    assertRefusedOver(filled(32).asReadOnlyBuffer(), 0, "direct", "writable", "DirectByteBufferR");
  }

  @ParameterizedTest
  @EnumSource(RingMemory.class)
  void ring_reserveNegativeOrTheWhole_isRefused(RingMemory memory) {
    for (int reserve : new int[] {-1, 8, 9, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      assertRefused(() -> memory.ring(8, reserve), "reserve of " + reserve, "of 8", "0 to 7");
    }
    assertRefused(() -> memory.ring(2, 2), "reserve of 2", "0 to 1");
  }

  @ParameterizedTest
  @EnumSource(RingMemory.class)
  void ring_leastAndMost_work(RingMemory memory) {
    for (int entries : new int[] {2, 65_536}) {
      for (int reserve : new int[] {0, entries - 1}) {
        TestRing test = new TestRing(memory.ring(entries, reserve));
        assertEquals(entries, test.ring.entries());
        assertEquals(reserve, test.ring.reserve());
        assertEquals(
            "DirtyRing[" + entries + " entries, reserve " + reserve + "]", test.ring.toString());
        List<Page> all = Page.apart(entries);
        test.push(all);
        assertEquals(all, test.take());
        assertEquals(Armed.model(all), test.armed);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(RingMemory.class)
  void roles_askedTwice_areTheSame(RingMemory memory) {
    DirtyRing ring = memory.ring(2, 0);
    assertSame(ring.producer(), ring.producer());
    assertSame(ring.harvester(), ring.harvester());
    assertSame(ring.resetter(), ring.resetter());
  }

  @ParameterizedTest
  @EnumSource(RingMemory.class)
  void hasAtLeast_noneOrMoreThanTheRing_isRefused(RingMemory memory) {
    TestRing test = new TestRing(memory.ring(8, 0));
    test.push(Page.of(1));
    for (int count : new int[] {0, -1, 9, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      assertRefused(
          () -> test.ring.harvester().hasAtLeast(count), count + " entries", "ring of 8", "1 to");
    }
    assertEquals(Page.of(1), test.take());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, -1, Integer.MIN_VALUE})
  void harvestedPages_capacityBelow1_isRefused(int capacity) {
    assertRefused(() -> new HarvestedPages(capacity), "capacity " + capacity, "1");
  }
}
