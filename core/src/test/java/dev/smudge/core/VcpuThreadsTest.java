package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RingFullPolicy;
import dev.smudge.sync.error.VcpuException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A vCPU is in one thread, and a thread in one vCPU. */
@Timeout(120)
class VcpuThreadsTest {
  @Test
  void vcpu_inTwoThreads_refusedWhereItIsFoundAndNothingLost() throws Exception {
    try (TestGuest guest = new TestGuest();
        GuestThread owner = new GuestThread(guest.vcpu)) {
      while (!guest.vcpu.toString().contains("online")) {
        Thread.onSpinWait();
      }
      assertThrows(VcpuException.class, guest.vcpu::online);
      assertThrows(VcpuException.class, guest.vcpu::offline);
      assertThrows(VcpuException.class, guest.vcpu::close);
      assertThrows(VcpuException.class, () -> guest.vcpu.putByte(TestGuest.LOW, (byte) 1));
      assertThrows(VcpuException.class, () -> guest.vcpu.getByte(TestGuest.LOW));
      assertThrows(VcpuException.class, () -> guest.atomics.getAndAdd(TestGuest.LOW, 8, 1));
      guest.assertUntouched("the wrong thread");
      assertEquals(Map.of(), Dirty.take(guest.client));
      // It may be let through by what the owner has found; then the page is marked at least.
      assertDoesNotThrow(() -> owner.run(() -> guest.vcpu.putByte(TestGuest.LOW, (byte) 1)));
      Dirty.take(guest.client);
      assertThrows(VcpuException.class, () -> guest.vcpu.putByte(TestGuest.LOW, (byte) 2));
      assertEquals(Dirty.pages(guest.low, TestGuest.LOW, 1), Dirty.take(guest.client));
    }
  }

  /** What another thread has found is not what the vCPU may rely on after its next safepoint. */
  @Test
  void access_byASecondThread_movesNoCursor() throws Throwable {
    try (TestGuest guest = new TestGuest();
        GuestThread owner = new GuestThread(guest.vcpu)) {
      Vcpu vcpu = guest.vcpu;
      long inNext = TestGuest.NEXT + 2 * TestGuest.PAGE; // where a page or a slot is looked at
      assertEquals(0, inNext & WriteCursor.SAMPLE);
      byte[] bytes = new byte[2];
      WriteWindow window = vcpu.window(TestGuest.LOW, 8);
      owner.run(() -> {
        vcpu.putByte(TestGuest.LOW, (byte) 1);
        vcpu.putByte(inNext, (byte) 1);
        vcpu.read(TestGuest.LOW, bytes, 0, 2);
        vcpu.read(inNext, bytes, 0, 2);
      });
      WriteCursor writes = vcpu.writeCursor();
      vcpu.putByte(inNext, (byte) 2);
      assertFalse(writes.isInPage(inNext, 1), "page, by a store");
      vcpu.write(inNext, bytes, 0, 2);
      assertFalse(writes.isInPage(inNext, 1), "page, by a bulk write");
      vcpu.write(TestGuest.LOW, bytes, 0, 2);
      vcpu.read(TestGuest.LOW, bytes, 0, 2);
      assertEquals(TestGuest.NEXT, vcpu.writeCursor().slot.base);
      assertEquals(TestGuest.NEXT, vcpu.readCursor().base);
      assertThrows(VcpuException.class, window::ram);
    }
  }

  /** The owner makes new cursors all the time, which a second thread finds half-way. */
  @Test
  void store_byASecondThreadBesideNewCursors_isRefusedOrInItsSlot() throws Exception {
    AtomicReference<Throwable> wrong = new AtomicReference<>();
    AtomicBoolean over = new AtomicBoolean();
    try (GuestMemory memory = GuestMemory.create()) {
      int slots = 100;
      memory.addSlot(0, 0, MemorySegment.ofArray(new long[1024]), 4096);
      for (int id = 1; id < slots; id++) {
        memory.addSlot(id, (long) id << 20, MemorySegment.ofArray(new long[1024]), 4096);
      }
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      Vcpu vcpu = memory.addVcpu();
      vcpu.online();
      Future<?> second =
          Threads.start(
              "second",
              index -> {
                while (!over.get() && wrong.get() == null) {
                  try {
                    vcpu.putLong(0x400, 1);
                  } catch (Throwable e) {
                    if (!(e instanceof VcpuException)) { // which says that it may not
                      wrong.set(e);
                    }
                  }
                }
              },
              0);
      long end = System.nanoTime() + Duration.ofMillis(1500).toNanos();
      for (long round = 0; System.nanoTime() < end && wrong.get() == null; round++) {
        memory.addSlot(slots, 1L << 40, 4096);
        memory.removeSlot(slots).close();
        vcpu.safepoint();
        for (int id = 1; id < slots; id++) {
          vcpu.putLong((long) id << 20, round);
          vcpu.putLong(8, round);
          vcpu.putLong((long) id << 20, round); // the page is the cursor's
        }
        Dirty.take(client);
      }
      over.set(true);
      second.get();
      vcpu.offline();
    }
    assertNull(wrong.get());
  }

  @Test
  void thread_twoVcpusAtOnce_refused() {
    try (TestGuest guest = new TestGuest()) {
      guest.vcpu.online();
      Vcpu second = guest.memory.addVcpu();
      assertThrows(VcpuException.class, () -> second.putByte(TestGuest.LOW, (byte) 1));
      guest.assertUntouched("second vCPU");
      guest.vcpu.offline();
      second.putByte(TestGuest.LOW, (byte) 1);
      assertEquals(Dirty.pages(guest.low, TestGuest.LOW, 1), Dirty.take(guest.client));
      second.offline();
    }
  }

  /** A policy has the vCPU of the log alone, and this vCPU's cursors are to go with it. */
  @ParameterizedTest
  @ValueSource(strings = {"offline", "closed", "handed over"})
  void store_aPolicyHasTakenTheVcpu_isReportedOrRefused(String how) {
    AtomicInteger calls = new AtomicInteger();
    RingFullPolicy policy =
        vcpu -> {
          calls.incrementAndGet();
          if (how.equals("closed")) {
            vcpu.close();
          } else {
            vcpu.offline();
          }
          if (how.equals("handed over")) {
            CompletableFuture.runAsync(
                    () -> {
                      vcpu.online();
                      vcpu.offline();
                    })
                .join();
          }
        };
    try (GuestMemory memory = GuestMemory.over(DirtyLog.builder().ring(16, 4, policy).build())) {
      GuestSlot slot = memory.addSlot(0, 0, 64 * 4096);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      Vcpu vcpu = memory.addVcpu();
      WriteWindow window = vcpu.window(0, 8);
      window.ram();
      for (long page = 0; page < 14; page++) {
        vcpu.putLong(page * 4096, 1);
        vcpu.putLong(page * 4096, 2); // the page is the cursor's now
      }
      vcpu.safepoint();
      assertEquals(1, calls.get());
      assertTrue(window.isClosed());
      Dirty.take(client); // waits for nobody: the vCPU is offline
      if (how.equals("closed")) {
        assertThrows(VcpuException.class, () -> vcpu.putLong(13 * 4096, 3));
        assertEquals(2, slot.ram().get(ValueLayout.JAVA_LONG, 13 * 4096));
      } else {
        vcpu.putLong(13 * 4096, 3);
        assertEquals(Dirty.pages(slot, 13 * 4096, 8), Dirty.take(client));
        vcpu.offline();
      }
    }
  }

  @Test
  void store_byAnotherAfterTheThreadHasDiedOnline_isRefused() throws InterruptedException {
    try (TestGuest guest = new TestGuest()) {
      Thread dies =
          Thread.ofPlatform()
              .start(() -> {
                guest.vcpu.putLong(TestGuest.LOW, 1);
                guest.vcpu.putLong(TestGuest.LOW, 2);
              });
      dies.join();
      Dirty.take(guest.client);
      assertThrows(VcpuException.class, () -> guest.vcpu.putLong(TestGuest.LOW, 3));
      assertEquals(2, guest.memory.device().getLong(TestGuest.LOW));
      guest.assertClean("refused");
    }
  }
}
