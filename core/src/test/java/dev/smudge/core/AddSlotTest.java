package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Slots with bad arguments, and at the edges of what is allowed. */
@Timeout(120)
class AddSlotTest {
  private static final long BASE = 0x4000_0000L;

  private final GuestMemory memory = GuestMemory.create();
  private final GuestSlot there = memory.addSlot(5, BASE, 16 * 4096);
  private final DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);

  @AfterEach
  void close() {
    memory.close();
  }

  private void assertRefused(int id, long address, long size, long pageSize) {
    assertThrows(IllegalArgumentException.class, () -> memory.addSlot(id, address, size, pageSize));
    if (size >= 0 && size < 1 << 24) {
      MemorySegment ram = MemorySegment.ofArray(new byte[(int) size]);
      assertThrows(
          IllegalArgumentException.class, () -> memory.addSlot(id, address, ram, pageSize));
    }
    assertUnchanged();
  }

  private void assertUnchanged() {
    assertEquals(List.of(there), memory.slots());
    assertEquals(Map.of(), Dirty.take(client));
    assertThrows(IllegalArgumentException.class, () -> memory.slot(6));
    memory.device().putByte(BASE, (byte) 1);
    assertEquals(Dirty.pages(there, BASE, 1), Dirty.take(client));
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 5, 32_764, 65_535, Integer.MAX_VALUE, Integer.MIN_VALUE})
  void addSlot_badId_refusedAndUnchanged(int id) {
    assertRefused(id, 0, 4096, 4096);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        0,
        1,
        2,
        128,
        255,
        257,
        4095,
        4097,
        3 * 4096,
        -1,
        -256,
        -4096,
        Long.MIN_VALUE,
        1L << 31,
        1L << 32,
        1L << 62,
        (1L << 30) + 1
      })
  void addSlot_badPageSize_refusedAndUnchanged(long pageSize) {
    assertRefused(6, 0, 4096, pageSize);
    assertRefused(6, 0, pageSize, pageSize);
    assertRefused(6, 0, 1L << 32, pageSize);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        0,
        -1,
        -4096,
        1,
        255,
        256,
        4095,
        4097,
        6144,
        Long.MIN_VALUE,
        Long.MAX_VALUE,
        -1L << 40
      })
  void addSlot_badSize_refusedAndUnchanged(long size) {
    assertRefused(6, 0, size, 4096);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 256",
    "255, 256",
    "-1, 256",
    "256, 4096",
    "4095, 4096",
    "-256, 4096",
    "4096, 8192"
  })
  void addSlot_unalignedAddress_refusedAndUnchanged(long address, long pageSize) {
    assertRefused(6, address, pageSize, pageSize);
  }

  @Test
  void addSlot_wrapsRound_refusedAndUnchanged() {
    assertRefused(6, -4096, 8192, 4096);
    assertRefused(6, -1L << 30, (1L << 30) + 4096, 4096);
    assertRefused(6, -4096, Long.MAX_VALUE & -4096, 4096);
    assertRefused(6, Long.MIN_VALUE, -4096, 4096);
  }

  @Test
  void addSlot_overlaps_refusedAndUnchanged() {
    for (long pages : new long[] {1, 2, 15, 16, 17, 40}) {
      for (long first = -pages + 1; first < 16; first++) {
        assertRefused(6, BASE + first * 4096, pages * 4096, 4096);
      }
    }
    assertRefused(6, BASE + 256, 256, 256);
    assertRefused(6, BASE + 16 * 4096 - 256, 256, 256);
    assertRefused(6, 0, BASE + 4096, 4096);
    assertRefused(6, 0, 1L << 30 | 1L << 40, 1L << 30);
  }

  @Test
  void addSlot_readOnlyRam_refusedAndUnchanged() {
    MemorySegment ram = MemorySegment.ofArray(new byte[4096]).asReadOnly();
    assertThrows(IllegalArgumentException.class, () -> memory.addSlot(6, 0, ram, 4096));
    assertUnchanged();
  }

  @Test
  void addSlot_sideBySideAndAtBothEnds_accessesFindTheirSlot() {
    memory.addSlot(32_763, BASE - 256, 256, 256);
    memory.addSlot(0, BASE + 16 * 4096, 256, 256);
    memory.addSlot(1, 0, 4096);
    memory.addSlot(2, -4096, 4096);
    memory.addSlot(3, Long.MIN_VALUE - 4096, 8192); // across the sign
    List<Long> starts = memory.slots().stream().map(GuestSlot::guestAddress).toList();
    assertEquals(
        List.of(0L, BASE - 256, BASE, BASE + 16 * 4096, Long.MIN_VALUE - 4096, -4096L), starts);
    Dirty.take(client);
    Vcpu vcpu = memory.addVcpu();
    byte value = 1;
    for (GuestSlot slot : memory.slots()) {
      long last = slot.guestAddress() + slot.size() - 8;
      vcpu.putLong(slot.guestAddress(), value);
      vcpu.putLong(last, value);
      assertEquals(value, slot.ram().get(java.lang.foreign.ValueLayout.JAVA_BYTE, 0));
      assertEquals(value, vcpu.getLong(last));
      value++;
    }
    vcpu.putLong(Long.MIN_VALUE - 4, -1);
    assertEquals(-1, vcpu.getLong(Long.MIN_VALUE - 4));
    assertEquals(6, Dirty.take(client).size());
    assertThrows(GuestAccessException.class, () -> vcpu.putLong(-4, 1));
    assertThrows(GuestAccessException.class, () -> vcpu.putLong(4092, 1));
  }

  @Test
  void addSlot_whileAClientIsThere_isDirtyForIt() {
    GuestSlot more = memory.addSlot(6, 0, 3 * 4096);
    assertEquals(Dirty.pages(more, 0, 3 * 4096), Dirty.take(client));
  }

  @Test
  void slot_unknown_isRefusedAndNamesThoseThatAreThere() {
    for (int id : new int[] {-1, 0, 4, 6, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      IllegalArgumentException refused =
          assertThrows(IllegalArgumentException.class, () -> memory.slot(id));
      assertTrue(String.valueOf(refused.getMessage()).contains("GuestSlot[5"));
    }
  }

  /** A take that comes upon a slot that is just being added has its pages. */
  @Test
  void addSlot_besideTakes_pagesAreHandedOut() {
    for (int round = 0; round < 20; round++) {
      try (GuestMemory busy = GuestMemory.create();
          DirtyClient<GuestSlot> taker = busy.client("taker", InitialView.NONE_DIRTY)) {
        long[] seen = {0};
        FutureTask<Void> taking =
            Threads.start(
                "take",
                index -> {
                  while (seen[0] < 100) {
                    Dirty.take(taker).forEach((id, pages) -> seen[0] += pages.cardinality());
                  }
                },
                round);
        for (int id = 0; id < 100; id++) {
          busy.addSlot(id, id * 256L, MemorySegment.ofArray(new byte[256]), 256);
        }
        Threads.joinAll(List.of(taking));
        assertEquals(100, seen[0]);
      }
    }
  }

  /** A slot of another memory is no way to pages of this one. */
  @Test
  void takeDiscardAcknowledge_slotOfAnotherMemory_refusedAndUnchanged() throws IOException {
    try (GuestMemory other = GuestMemory.create()) {
      GuestSlot foreign = other.addSlot(5, BASE, 16 * 4096);
      memory.device().putByte(BASE, (byte) 1);
      assertThrows(IllegalArgumentException.class, () -> client.takeRange(foreign, 0, 1));
      assertThrows(IllegalArgumentException.class, () -> client.discard(foreign, 0, 4));
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        assertThrows(IllegalArgumentException.class, () -> batch.acknowledge(foreign, 0, 4));
        assertEquals(1, batch.pageCount());
      }
      assertEquals(Dirty.pages(there, BASE, 1), Dirty.take(client));
    }
  }

  @Test
  void takeRangeDiscardAcknowledge_rangeOutsideTheSlot_refusedAndUnchanged() {
    memory.device().fill(BASE, 16 * 4096, (byte) 1);
    long[][] bad = {
      {-1, 1}, {0, 17}, {16, 1}, {17, 0}, {0, -1}, {1, Long.MAX_VALUE}, {Long.MAX_VALUE, 1}
    };
    for (long[] range : bad) {
      assertThrows(
          IndexOutOfBoundsException.class, () -> client.takeRange(there, range[0], range[1]));
      assertThrows(
          IndexOutOfBoundsException.class, () -> client.discard(there, range[0], range[1]));
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        assertThrows(
            IndexOutOfBoundsException.class, () -> batch.acknowledge(there, range[0], range[1]));
        assertEquals(16, batch.pageCount());
      }
    }
    assertEquals(Dirty.pages(there, BASE, 16 * 4096), Dirty.take(client));
  }

  @Test
  void addSlot_ramThatIsFreed_refusedAndUnchanged() {
    MemorySegment ram;
    try (Arena arena = Arena.ofShared()) {
      ram = arena.allocate(4096);
    }
    assertThrows(IllegalArgumentException.class, () -> memory.addSlot(6, 0, ram, 4096));
    assertUnchanged();
  }

  @Test
  void addSlot_moreThanASystemHas_refusedAndUnchanged() {
    assertThrows(UncheckedIOException.class, () -> memory.addSlot(6, 1L << 31, 1L << 62, 1L << 30));
    assertUnchanged();
  }

  static boolean hasMaps() {
    return Files.isReadable(Path.of("/proc/self/maps"));
  }

  /** How many files of ours are mapped, or, where there are none, GiB of anonymous memory. */
  private static long mappings() throws IOException {
    try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
      if (!SparseRam.NATIVE) {
        return lines
            .filter(line -> line.contains("smudge-") && line.endsWith(".ram (deleted)"))
            .count();
      }
      return lines
              .filter(line -> line.contains(" rw-p 00000000 00:00 0"))
              .map(line -> line.substring(0, line.indexOf(' ')).split("-"))
              .mapToLong(both -> Long.parseLong(both[1], 16) - Long.parseLong(both[0], 16))
              .sum()
          >>> 30;
    }
  }

  @Test
  @EnabledIf("hasMaps")
  void addSlot_refused_keepsNoMemory() throws IOException {
    long before = mappings();
    assertTrue(before > 0);
    for (int i = 0; i < 10; i++) {
      assertThrows(IllegalArgumentException.class, () -> memory.addSlot(5, 0, 4096));
      assertThrows(IllegalArgumentException.class, () -> memory.addSlot(-1, 0, 4096));
    }
    assertEquals(before, mappings());
    memory.close();
    // With native access it stays mapped while something can reach it: RamLifetimeTest.
    assertTrue(SparseRam.NATIVE || mappings() < before);
  }

  @Test
  void nullArguments_refusedAtOnce() {
    assertThrows(NullPointerException.class, () -> GuestMemory.over(nothing()));
    assertThrows(NullPointerException.class, () -> memory.addVcpu(nothing()));
    assertThrows(NullPointerException.class, () -> memory.addSlot(6, 0, nothing(), 4096));
    Vcpu vcpu = memory.addVcpu();
    assertThrows(NullPointerException.class, () -> vcpu.write(BASE, nothing()));
    assertThrows(NullPointerException.class, () -> vcpu.write(BASE, nothing(), 0, 0));
    assertUnchanged();
  }

  @SuppressWarnings({"NullAway", "TypeParameterUnusedInFormals"})
  private static <T> T nothing() {
    return null;
  }
}
