package dev.smudge.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.inhibitor.AccessInhibitor;
import dev.smudge.sync.inhibitor.InhibitableAccess;
import dev.smudge.sync.rcu.Rcu;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What hot paths allocate in the thread that takes them, by the JVM's count. */
class AllocationTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final int CALLS = 10_000;
  private static final int ROUNDS = 20;
  private static final int NODE = 24; // of a queue; 16 with compact headers

  /** The least of several rounds: in the others the JVM itself may have allocated. */
  private static long bytes(Runnable path) {
    long[] rounds = new long[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
      long before = THREADS.getCurrentThreadAllocatedBytes();
      for (int j = 0; j < CALLS; j++) {
        path.run();
      }
      rounds[i] = THREADS.getCurrentThreadAllocatedBytes() - before;
    }
    return Arrays.stream(rounds).min().orElseThrow();
  }

  @Test
  void bytes_pathThatAllocates_isSeen() {
    Object[] kept = new Object[1];
    assertTrue(bytes(() -> kept[0] = new long[1]) >= 16L * CALLS, Arrays.toString(kept));
  }

  @Test
  void rcuSection_afterTheFirst_allocatesNothing() {
    Rcu rcu = Rcu.create();
    assertEquals(
        0,
        bytes(() -> {
          rcu.enter();
          rcu.enter();
          rcu.exit();
          rcu.exit();
        }));
  }

  @Test
  void rcuSection_ofAVcpu_withSafepoints_allocatesNothing() {
    DirtyLog log = DirtyLog.create();
    LogVcpu vcpu = log.addVcpu();
    vcpu.online();
    Rcu rcu = log.rcu();
    assertEquals(
        0,
        bytes(() -> {
          rcu.enter();
          vcpu.safepoint();
          rcu.exit();
          vcpu.safepoint();
        }));
    vcpu.close();
    log.close();
  }

  /** A vCPU that goes offline drops its cursors, and finds them again. */
  @Test
  void store_inManySlotsInTurn_allocatesNothing() {
    try (GuestMemory memory = GuestMemory.create()) {
      for (int i = 0; i < 5; i++) {
        memory.addSlot(i, (long) i << 20, 8192);
      }
      Vcpu vcpu = memory.addVcpu();
      assertEquals(
          0,
          bytes(() -> {
            for (long slot = 0; slot < 5; slot++) {
              vcpu.putLong(slot << 20, slot);
              vcpu.putInt((slot << 20) + 4094, 1); // over the border of two pages
            }
            vcpu.offline();
          }));
      vcpu.close();
    }
  }

  @Test
  void callRcu_aTask_allocatesANodeOfTheQueue() {
    Rcu rcu = Rcu.create();
    Runnable task = () -> {};
    long allocated = bytes(() -> rcu.callRcu(task));
    assertTrue(allocated <= (long) NODE * CALLS, allocated + " bytes for " + CALLS + " tasks");
    rcu.barrier();
  }

  @Test
  void guestAccess_nobodyInhibits_allocatesNothing() {
    InhibitableAccess access = AccessInhibitor.create().addAccess(() -> {});
    assertEquals(
        0,
        bytes(() -> {
          access.enter();
          access.enter();
          access.leave();
          access.leave();
        }));
    access.close();
  }
}
