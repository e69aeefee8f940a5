package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.error.VcpuException;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

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
}
