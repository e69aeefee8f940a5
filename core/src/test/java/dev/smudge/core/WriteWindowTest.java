package dev.smudge.core;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.error.SealedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Windows of a vCPU: raw stores, marked once per arming. */
@Timeout(120)
class WriteWindowTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 64;

  private static long take(DirtyClient<GuestSlot> client) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      long pages = batch.pageCount();
      batch.commit();
      return pages;
    }
  }

  @Test
  void ram_ofARangeThatBeginsAndEndsInTheMiddleOfPages_marksAllOfThem_oncePerArming() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0x1000, PAGES * PAGE);
      Vcpu vcpu = memory.addVcpu();
      WriteWindow window = vcpu.window(0x1000 + PAGE - 1, PAGE + 2);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      MemorySegment ram = window.ram();
      ram.set(JAVA_BYTE, 0, (byte) 1);
      ram.set(JAVA_BYTE, PAGE + 1, (byte) 2);
      assertSame(ram, window.ram());
      vcpu.safepoint();
      assertSame(ram, window.ram());
      assertEquals(3, take(client)); // of this thread: its own vCPU passes a safepoint
      assertEquals(0, take(client), "nobody has asked for it since");
      window.ram(); // asks for it, writes nothing
      assertEquals(3, take(client));
      vcpu.offline();
      assertEquals(1, memory.device().getByte(0x1000 + PAGE - 1));
      assertEquals(2, memory.device().getByte(0x1000 + 2 * PAGE));
      assertThrows(IndexOutOfBoundsException.class, () -> window.ram().get(JAVA_BYTE, PAGE + 2));
      vcpu.offline();
    }
  }

  @Test
  void window_thatIsNotAllRamOrInSeveralSlots_isRefusedAndMarksNothing() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, PAGE);
      memory.addSlot(1, PAGE, PAGE);
      Vcpu vcpu = memory.addVcpu();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      assertThrows(GuestAccessException.class, () -> vcpu.window(PAGE + 1, PAGE).ram());
      assertThrows(IllegalArgumentException.class, () -> vcpu.window(0, -1));
      assertThrows(IllegalStateException.class, () -> vcpu.window(1, PAGE).ram());
      assertEquals(0, take(client));
      vcpu.offline();
    }
  }

  @Test
  void ram_afterTheSlotHasMoved_isThatOfTheAddress() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, PAGE);
      Vcpu vcpu = memory.addVcpu();
      WriteWindow window = vcpu.window(16, 16);
      window.ram().set(JAVA_BYTE, 0, (byte) 1);
      vcpu.offline();
      memory.beginTransaction().move(0, 1 << 20).add(1, 0, PAGE, PAGE).commit();
      assertEquals(0, window.ram().get(JAVA_BYTE, 0));
      vcpu.offline();
      memory.removeSlot(1).close();
      assertThrows(GuestAccessException.class, window::ram);
      vcpu.offline();
      memory.addSlot(1, 0, PAGE);
      window.ram();
      vcpu.offline();
      memory.seal();
      assertThrows(SealedException.class, window::ram);
      vcpu.offline();
    }
  }

  private static int differences(LogKind kind, boolean askAgain) throws Exception {
    int differs = 0;
    long seed = System.nanoTime();
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.over(kind.builder().build())) {
      GuestSlot slot = memory.addSlot(0, 0, PAGES * PAGE);
      MemorySegment copy = arena.allocate(PAGES * PAGE, PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);
      AtomicBoolean stop = new AtomicBoolean();
      AtomicLong blocks = new AtomicLong();
      Thread guest =
          new Thread(() -> {
            Random random = new Random(seed);
            try (Vcpu vcpu = memory.addVcpu()) {
              WriteWindow window = vcpu.window(100, PAGES * PAGE - 200);
              MemorySegment ram = window.ram();
              while (!stop.get()) {
                if (askAgain) {
                  ram = window.ram();
                }
                for (int i = 0; i < 20; i++) {
                  int at = random.nextInt(PAGES * PAGE - 204);
                  ram.set(JAVA_INT_UNALIGNED, at, random.nextInt());
                }
                blocks.incrementAndGet();
                vcpu.safepoint();
              }
            }
          });
      guest.start();
      for (int round = 0; round < 100; round++) {
        long before = blocks.get();
        while (blocks.get() == before && guest.isAlive()) {
          Thread.onSpinWait();
        }
        takeInto(client, copy);
      }
      stop.set(true);
      guest.join();
      takeInto(client, copy);
      for (int page = 0; page < PAGES; page++) {
        long at = (long) page * PAGE;
        if (slot.ram().asSlice(at, PAGE).mismatch(copy.asSlice(at, PAGE)) >= 0) {
          differs++;
        }
      }
    }
    return differs;
  }

  private static void takeInto(DirtyClient<GuestSlot> client, MemorySegment copy) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          MemorySegment.copy(slot.pages(first, count), 0, copy, first * PAGE, count * PAGE));
      batch.commit();
    }
  }

  @ParameterizedTest
  @EnumSource(LogKind.class)
  void storesByWayOfAWindow_besideTakes_areNeverLost(LogKind kind) throws Exception {
    assertEquals(0, differences(kind, true));
  }

  /** What the next look at the window is for. */
  @ParameterizedTest
  @EnumSource(LogKind.class)
  void weakened_ramIsKeptOverSafepoints_storesAreLost(LogKind kind) throws Exception {
    assertTrue(differences(kind, false) > 0);
  }
}
