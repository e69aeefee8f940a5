package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * RAM of our own where native access is granted: no file, and no memory that nobody has written.
 */
@Timeout(120)
@EnabledIf(value = "isGranted", disabledReason = "needs Linux, and native access")
class AnonymousRamTest {
  private static final long GIB = 1L << 30;

  static boolean isGranted() {
    return AnonymousMemory.isGranted();
  }

  private static long files() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  /** Bytes of the process that are in memory and anonymous, from /proc/self/status. */
  private static long committed() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("RssAnon:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void addSlot_manyOfThem_openNoFile() throws IOException {
    long most = files() + 100; // the JVM opens some as well: jars, and pipes of its own
    try (GuestMemory memory = GuestMemory.create()) {
      for (int i = 0; i < 1000; i++) {
        memory.addSlot(i, (long) i << 13, 4096);
      }
      assertTrue(files() < most, "of 1000 slots");
    }
    assertTrue(files() < most, "of 1000 slots");
  }

  @Test
  void read_takenAndFilledWithZeroes_pagesNobodyHasWritten_commitNothing() throws IOException {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, GIB);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);
      MemorySegment page = MemorySegment.ofArray(new byte[4096]);
      long before = committed();
      long[] zero = new long[1];
      try (var batch = client.take()) {
        batch.forEachRun((of, first, count) -> {
          for (long i = first; i < first + count; i++) {
            zero[0] += of.pages(i, 1).mismatch(page) < 0 ? 1 : 0;
          }
        });
        batch.commit();
      }
      assertEquals(slot.pageCount(), zero[0]);
      memory.device().fill(0, GIB, (byte) 0);
      Vcpu vcpu = memory.addVcpu();
      vcpu.fill(0, GIB, (byte) 0);
      vcpu.offline();
      long grown = committed() - before;
      assertTrue(grown < GIB / 8, grown + " bytes");
      assertEquals(slot.pageCount(), client.take().pageCount(), "marked all the same");
    }
  }

  @Test
  void release_pagesThatWereWritten_areZeroAndFreeAndDirtyForEverybody() throws IOException {
    long size = 256 << 20;
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, size);
      memory.addSlot(1, size, 4096);
      memory.device().fill(0, size + 4096, (byte) 1);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      long full = committed();
      memory.device().release(4097, size - 4096); // ends in the second slot
      assertTrue(committed() < full - size / 2, committed() + " of " + full);
      assertEquals(1, memory.device().getByte(4096));
      for (long at : List.of(4097L, 8191L, 8192L, size - 1, size)) {
        assertEquals(0, memory.device().getByte(at));
      }
      assertEquals(1, memory.device().getByte(size + 1));
      try (var batch = client.take()) {
        assertEquals(size / 4096, batch.pageCount());
        batch.commit();
      }
      assertTrue(
          memory.pages().nextTouchedPage(memory.slot(0), 3) >= size / 4096 - 1,
          "the last was read");
      assertThrows(GuestAccessException.class, () -> memory.device().release(size, 8192));
      assertEquals(1, memory.device().getByte(size + 1), "nothing is written");
    }
  }

  @Test
  void nextTouchedPage_tellsPagesThatWereWritten_alsoOfAVeryLargeSlot() throws IOException {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 64 * GIB, 8192);
      for (long page : List.of(0L, 1L, 70_000L, slot.pageCount() - 1)) {
        memory.device().putByte((page << 13) + 8191, (byte) 1);
      }
      long before = committed();
      assertEquals(0, memory.pages().nextTouchedPage(slot, 0));
      assertEquals(1, memory.pages().nextTouchedPage(slot, 1));
      assertEquals(70_000, memory.pages().nextTouchedPage(slot, 2));
      assertEquals(slot.pageCount() - 1, memory.pages().nextTouchedPage(slot, 70_001));
      assertEquals(slot.pageCount(), memory.pages().nextTouchedPage(slot, slot.pageCount()));
      assertEquals(0, memory.device().getByte(3L << 13));
      long next = memory.pages().nextTouchedPage(slot, 3);
      assertTrue(next == 70_000 || next == 3, "page 3 was read, which not every kernel tells");
      assertTrue(committed() - before < 64 << 20);
      assertThrows(
          IndexOutOfBoundsException.class,
          () -> memory.pages().nextTouchedPage(slot, slot.pageCount() + 1));
    }
  }

  /** What a slot loses and gets back is zero, and free meanwhile. */
  @Test
  void resize_shorterAndLongerAgain_theMemoryIsGivenBack() throws IOException {
    long size = 256 << 20;
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, size, 2048);
      memory.device().fill(0, size, (byte) 1);
      long full = committed();
      resize(memory, 8192 + 2048);
      resize(memory, size);
      assertTrue(committed() < full - size / 2, committed() + " of " + full);
      assertEquals(1, memory.device().getByte(8192 + 2047));
      for (long at : List.of(8192L + 2048, 8192L + 4096, size / 2, size - 1)) {
        assertEquals(0, memory.device().getByte(at));
      }
    }
  }

  private static void resize(GuestMemory memory, long size) {
    try (SlotTransaction change = memory.beginTransaction()) {
      change.resize(0, size);
      change.commit().forEach(removed -> removed.close());
    }
  }

  @Test
  void resize_beyondItsAddresses_refusedAndNothingIsChanged() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, 4096);
      memory.device().putInt(0, 5);
      resize(memory, GIB);
      memory.device().putInt(GIB - 4, 6);
      assertThrows(UncheckedIOException.class, () -> resize(memory, 2 * GIB));
      assertEquals(GIB, memory.slot(0).size());
      assertEquals(5, memory.device().getInt(0));
      assertEquals(6, memory.device().getInt(GIB - 4));
      memory.removeSlot(0).close();
      memory.addSlot(0, 0, 2 * GIB);
      assertEquals(0, memory.device().getInt(0));
      resize(memory, 8 * GIB);
      memory.device().putInt(8 * GIB - 4, 7);
      assertEquals(7, memory.device().getInt(8 * GIB - 4));
    }
  }

  /** A memory that was closed has its addresses still, for a vCPU that died; not its memory. */
  @Test
  void close_aVcpuMayReachTheAddresses_theMemoryIsFree() throws IOException {
    GuestMemory memory = GuestMemory.create();
    GuestSlot slot = memory.addSlot(0, 0, GIB / 2);
    memory.device().fill(0, GIB / 2, (byte) 1);
    long full = committed();
    memory.close();
    assertTrue(committed() < full - GIB / 4, committed() + " of " + full);
    assertFalse(slot.ram().scope().isAlive());
  }

  @Test
  void addSlot_moreThanThereAreAddresses_refusedAndNamed() {
    try (GuestMemory memory = GuestMemory.create()) {
      UncheckedIOException e =
          assertThrows(UncheckedIOException.class, () -> memory.addSlot(0, 0, 1L << 47));
      assertTrue(String.valueOf(e.getMessage()).contains("140737488355328 bytes"), e.toString());
      assertEquals(List.of(), memory.slots());
      memory.addSlot(0, 0, 4096);
    }
  }
}
