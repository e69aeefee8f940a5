package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** RAM that is gone, or is to grow, and who has a hold on it still. */
@Timeout(60)
class RamLifetimeTest {
  /** A vCPU whose thread has died keeps its cursor: that must not point to unmapped memory. */
  @Test
  void access_memoryClosedAndTheVcpuDiedOnline_isRefused() throws Exception {
    for (int i = 0; i < 20; i++) {
      GuestMemory memory = GuestMemory.over(DirtyLog.builder().errorHandler(e -> {}).build());
      memory.addSlot(0, 0, 1 << 20);
      Vcpu vcpu = memory.addVcpu();
      Threads.start(
              "guest",
              index -> {
                vcpu.putInt(4096, 1);
                vcpu.getInt(4096);
              },
              0)
          .get();
      Thread guest = new Thread(() -> vcpu.offline());
      guest.start();
      guest.join();
      Thread dies =
          new Thread(() -> {
            vcpu.putInt(4096, 1);
            vcpu.getInt(4096);
          });
      dies.setUncaughtExceptionHandler((thread, e) -> {});
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
