package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;

/** RAM that is gone, or is to grow, and who has a hold on it still. */
@Timeout(60)
class RamLifetimeTest {
  /** A file of no bytes any more. */
  private static final Pattern CLOSED = Pattern.compile("smudge-(closed|.*\\.ram)");

  /** A vCPU whose thread has died keeps its cursor: that must not point to unmapped memory. */
  @Test
  void access_memoryClosedAndTheVcpuDiedOnline_isRefused() throws Exception {
    for (int i = 0; i < 20; i++) {
      GuestMemory memory = GuestMemory.over(DirtyLog.builder().errorHandler(e -> {}).build());
      memory.addSlot(0, 0, 1 << 20);
      Vcpu vcpu = memory.addVcpu();
      Thread dies =
          new Thread(() -> {
            vcpu.putInt(4096, 1);
            vcpu.getInt(4096);
          });
      dies.start();
      dies.join();
      memory.close();
      // An InternalError where the vCPU accesses by address, else an exception that says it.
      assertRefused(() -> vcpu.putInt(4096, 2));
      assertRefused(() -> vcpu.getInt(4096));
      assertRefused(() -> vcpu.putLong(4096 + 8, 2));
    }
  }

  private static void assertRefused(Runnable access) {
    Throwable e = assertThrows(Throwable.class, access::run);
    assertTrue(e instanceof InternalError || e instanceof RuntimeException, e::toString);
  }

  /** A part is given up only once, so what an error leaves is done by whoever comes next. */
  @Test
  void release_stackEndsInIt_theNextCallUnmaps() {
    Set<SparseRam> all = new HashSet<>();
    SparseRam[] ram = new SparseRam[1];
    SparseRam.Pin[] pin = new SparseRam.Pin[1];
    int errors =
        StackSqueeze.squeeze(
            () -> {
              ram[0] = new SparseRam(all);
              pin[0] = ram[0].pin(0, 8192);
            },
            () -> pin[0].release(),
            thrown -> {
              ram[0].settle();
              if (!ram[0].isFree(0, 8192)) { // it has not begun
                assertNotNull(thrown);
                pin[0].release();
              }
              assertFalse(pin[0].segment().scope().isAlive());
              assertEquals(Set.of(), all);
            });
    assertTrue(errors > 3, errors + " errors");
  }

  @Test
  void release_ofTheLastPinLongAfterTheFirst_unmaps() {
    Set<SparseRam> all = new HashSet<>();
    SparseRam ram = new SparseRam(all);
    SparseRam.Pin first = ram.pin(0, 8192);
    SparseRam.Pin last = first.pin(4096, 4096);
    ram.settle();
    first.release();
    ram.settle();
    assertTrue(last.segment().scope().isAlive());
    last.release();
    assertFalse(last.segment().scope().isAlive());
    assertEquals(Set.of(), all);
  }

  @Test
  void asyncWrite_stackEndsInItsClose_theNextChangeGivesTheRamBack() {
    try (GuestMemory memory = GuestMemory.create()) {
      AsyncWrite[] write = new AsyncWrite[1];
      MemorySegment[] ram = new MemorySegment[1];
      int errors =
          StackSqueeze.squeeze(
              () -> {
                ram[0] = memory.addSlot(0, 0, 8192).ram();
                write[0] = memory.device().beginWrite(0, 100);
                memory.removeSlot(0).close();
                assertTrue(ram[0].scope().isAlive());
              },
              () -> write[0].close(),
              thrown -> {
                memory.addSlot(1, 8192, 4096);
                if (ram[0].scope().isAlive()) {
                  assertNotNull(thrown);
                  write[0].close(); // it has not begun
                }
                memory.removeSlot(1).close();
                assertFalse(ram[0].scope().isAlive());
              });
      assertTrue(errors > 3, errors + " errors");
    }
  }

  /** An interrupt closes a file channel that the thread uses; RAM could never grow after that. */
  @Test
  void resize_byAnInterruptedThread_growsAndGrowsAgain() {
    try (GuestMemory memory = GuestMemory.create()) {
      Thread.currentThread().interrupt();
      memory.addSlot(0, 0, 1 << 16);
      assertTrue(Thread.currentThread().isInterrupted(), "kept");
      for (int i = 2; i < 6; i++) {
        try (SlotTransaction transaction = memory.beginTransaction()) {
          transaction.resize(0, (long) i << 16).commit();
        }
        memory.device().putInt(((long) i << 16) - 4, i);
        assertTrue(Thread.interrupted(), "kept");
        try (SlotTransaction transaction = memory.beginTransaction()) {
          transaction.resize(0, (i << 16) + (1L << 15)).commit();
        }
        Thread.currentThread().interrupt();
      }
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void addSlot_moreThanTheProcessMayHaveFiles_works() {
    try (GuestMemory memory = GuestMemory.create()) {
      int slots = 6000; // RAM of ours keeps at most 4096 open
      for (int i = 0; i < slots; i++) {
        memory.addSlot(i, (long) i << 13, 4096);
      }
      for (int i = 0; i < slots; i++) {
        memory.device().putInt((long) i << 13, i);
      }
      for (int i = 0; i < slots; i++) {
        assertEquals(i, memory.device().getInt((long) i << 13));
      }
    }
  }

  /** Native access keeps it mapped while a vCPU may point there, and no longer. */
  @Test
  @EnabledIf("hasMaps")
  void close_nothingReachesTheRam_itIsUnmapped() throws IOException {
    long address = addressOfAClosedMemory();
    while (isMapped(address, CLOSED)) {
      System.gc();
      Thread.onSpinWait();
    }
  }

  static boolean hasMaps() {
    return Files.isReadable(Path.of("/proc/self/maps"));
  }

  private static long addressOfAClosedMemory() throws IOException {
    long address;
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 77 << 12);
      address = slot.ram().address();
      memory.device().putInt(0, 1);
    }
    if (SparseRam.NATIVE) { // not the memory, but the addresses
      assertTrue(isMapped(address, CLOSED), Long.toHexString(address));
    }
    return address;
  }

  private static boolean isMapped(long address, Pattern file) throws IOException {
    return mappings(file).stream()
        .anyMatch(line -> {
          String[] range = line.substring(0, line.indexOf(' ')).split("-", -1);
          return Long.parseUnsignedLong(range[0], 16) <= address
              && Long.parseUnsignedLong(range[1], 16) > address;
        });
  }

  private static List<String> mappings(Pattern file) throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines.filter(line -> file.matcher(line).find()).toList();
    }
  }

  /** A system gives a process some 65,000 mappings, and the JVM ends where it gets none. */
  @Test
  @EnabledIf("hasMaps")
  void close_manyMemoriesThatAreReachableStill_haveFewMappings() throws IOException {
    List<GuestSlot> reachable = new ArrayList<>();
    for (int i = 0; i < 2000; i++) {
      try (GuestMemory memory = GuestMemory.create()) {
        reachable.add(memory.addSlot(0, 0, 4096));
        memory.device().putInt(0, 1);
      }
    }
    int count = mappings(CLOSED).size();
    assertTrue(count < 200, count + " mappings of " + reachable.size());
  }

  @Test
  void access_theSegmentOfTheCallerWasClosed_isRefusedAndSaysSo() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(3, 0, 1 << 16);
      Vcpu vcpu = memory.addVcpu();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      Arena owner = Arena.ofShared();
      MemorySegment closed = owner.allocate(64);
      owner.close();
      for (Runnable access :
          List.<Runnable>of(
              () -> vcpu.write(64, closed),
              () -> vcpu.read(64, closed),
              () -> memory.device().write(64, closed),
              () -> memory.device().writeAs(client, 64, closed),
              () -> memory.device().read(64, closed))) {
        IllegalStateException e = assertThrows(IllegalStateException.class, access::run);
        assertTrue(
            String.valueOf(e.getMessage()).contains("was closed by its owner"), e.toString());
      }
      vcpu.offline();
      assertEquals(0, client.dirtyPages());
    }
  }

  @Test
  void access_theRamWasClosed_namesTheSlot() {
    byte[] bytes = new byte[8];
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      Arena owner = Arena.ofShared();
      memory.addSlot(3, 0, owner.allocate(8 << 12, 4096), 4096);
      Vcpu vcpu = memory.addVcpu();
      vcpu.putInt(64, vcpu.getInt(64));
      owner.close();
      for (Runnable access :
          List.<Runnable>of(
              () -> vcpu.putByte(64, (byte) 1),
              () -> vcpu.putShort(64, (short) 1),
              () -> vcpu.putInt(64, 1),
              () -> vcpu.putLong(64, 1),
              () -> vcpu.getByte(64),
              () -> vcpu.getShort(64),
              () -> vcpu.getInt(64),
              () -> vcpu.getLong(64),
              () -> vcpu.putLong(4093, 1),
              () -> vcpu.write(64, bytes, 0, 8),
              () -> vcpu.read(64, bytes, 0, 8),
              () -> vcpu.fill(64, 8, (byte) 1),
              () -> vcpu.copy(64, 80, 8),
              () -> vcpu.atomics().getAndAdd(64, 4, 1),
              () -> vcpu.atomics().getVolatile(64, 4),
              () -> memory.device().putInt(64, 1),
              () -> memory.device().getInt(64),
              () -> memory.device().fill(64, 8, (byte) 1),
              () -> memory.device().beginWrite(64, 8))) {
        IllegalStateException e = assertThrows(IllegalStateException.class, access::run);
        assertTrue(String.valueOf(e.getMessage()).contains("GuestSlot[3"), e.toString());
      }
      vcpu.offline();
      memory.removeSlot(3).close();
      memory.addSlot(3, 0, arena.allocate(8 << 12, 4096), 4096);
      vcpu.putInt(64, 7);
      assertEquals(7, memory.device().getInt(64));
      vcpu.offline();
    }
  }

  @Test
  void pages_theirRamWasClosed_namesTheSlot() {
    try (GuestMemory memory = GuestMemory.create()) {
      Arena arena = Arena.ofShared();
      GuestSlot slot = memory.addSlot(3, 0, arena.allocate(8 << 12, 4096), 4096);
      memory.addSlot(4, 1 << 20, 8 << 12);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);
      arena.close();
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> slot.pages(0, 1));
      assertTrue(String.valueOf(e.getMessage()).contains("GuestSlot[3"), e.toString());
      memory.removeSlot(3).close();
      List<Integer> found = new ArrayList<>();
      try (var batch = client.take()) {
        batch.forEachRun((of, first, count) -> found.add(of.id()));
        batch.commit();
      }
      assertEquals(List.of(4), found);
    }
  }
}
