package dev.smudge.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.PagePort;
import dev.smudge.sync.RunConsumer;
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

  @Test
  void callRcu_aTask_allocatesANodeOfTheQueue() {
    Rcu rcu = Rcu.create();
    Runnable task = () -> {};
    long allocated = bytes(() -> rcu.callRcu(task));
    assertTrue(allocated <= (long) NODE * CALLS, allocated + " bytes for " + CALLS + " tasks");
    rcu.barrier();
  }

  /** A state and a step make what a take makes, and nothing for each page, once pages are known. */
  @Test
  void rewind_statesAndSteps_allocateWhatTheirTakesDo() {
    byte[] ram = new byte[1 << 20];
    DirtyLog log = DirtyLog.createStopped();
    LogSlot slot = log.addSlot(0, ram.length / 4096, 4096);
    DirtyClient<LogSlot> other = log.client("take alone", InitialView.NONE_DIRTY);
    Rewind<LogSlot> rewind =
        Rewind.over(
            log.client("rewind", InitialView.ALL_DIRTY),
            new PagePort.OwnRam() {
              @Override
              public void read(LogSlot in, long pageIndex, byte[] page) {
                System.arraycopy(ram, (int) pageIndex << 12, page, 0, page.length);
              }

              @Override
              public void write(LogSlot in, long pageIndex, byte[] page) {
                System.arraycopy(page, 0, ram, (int) pageIndex << 12, page.length);
              }
            },
            1 << 20);
    rewind.save();
    Runnable frame =
        () -> {
          for (int page = 0; page < 100; page += 2) {
            ram[page << 12]++;
            log.mark(slot, (long) page << 12, 1);
          }
        };
    RunConsumer<LogSlot, RuntimeException> nothing = (in, first, count) -> {};
    Runnable take =
        () -> {
          try (DirtyBatch<LogSlot> batch = other.take()) {
            batch.forEachRun(nothing);
            batch.commit();
          }
        };
    long alone =
        bytes(() -> {
          frame.run();
          take.run();
        });
    other.close();
    long save =
        bytes(() -> {
          frame.run();
          rewind.save();
        });
    long steps =
        bytes(() -> {
          rewind.back();
          rewind.forward();
        });
    assertTrue(save <= alone + 64L * CALLS, save + " bytes, and for takes alone " + alone);
    assertTrue(steps <= 2 * alone + 64L * CALLS, steps + " bytes, and for a take " + alone);
    System.out.println(
        "bytes per take, state, two steps: "
            + alone / CALLS
            + " "
            + save / CALLS
            + " "
            + steps / CALLS);
    log.close();
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
