package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.rcu.RcuTimeoutException;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A removal that times out: the slot is gone, and its last pages are to be had all the same. */
@Timeout(60)
class LateRemovalTest {
  @Test
  void removeSlot_vcpuIsLate_theNextCallHandsItOut() throws Exception {
    DirtyLog log = DirtyLog.builder().timeout(Duration.ofMillis(300)).errorHandler(e -> {}).build();
    try (GuestMemory memory = GuestMemory.over(log)) {
      memory.addSlot(0, 0, 16 * 4096);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      CountDownLatch written = new CountDownLatch(1);
      CountDownLatch goOn = new CountDownLatch(1);
      Future<?> guest =
          Threads.start(
              "guest",
              index -> {
                try (Vcpu vcpu = memory.addVcpu()) {
                  vcpu.putInt(4096, 42);
                  written.countDown();
                  goOn.await();
                  vcpu.safepoint();
                }
              },
              0);
      written.await();
      assertThrows(RcuTimeoutException.class, () -> memory.removeSlot(0));
      assertThrows(RcuTimeoutException.class, () -> memory.removeSlot(0)); // late still
      goOn.countDown();
      guest.get();
      try (RemovedSlot<GuestSlot> removed = memory.removeSlot(0)) {
        assertEquals(1, removed.dirtyPages());
        removed.forEachRun((slot, first, count) -> {
          assertEquals(1, first);
          assertEquals(42, slot.pages(first, count).get(ValueLayout.JAVA_INT, 0));
        });
      }
      assertThrows(IllegalArgumentException.class, () -> memory.removeSlot(0)); // only once
      client.close();
    }
  }
}
