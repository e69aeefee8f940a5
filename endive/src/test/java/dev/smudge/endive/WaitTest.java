package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.Vcpu;
import dev.smudge.sync.VcpuPause;
import dev.smudge.testbase.StackSqueeze;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.ToIntFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import run.endive.runtime.WasmInterruptedException;
import run.endive.wasm.WasmEngineException;
import run.endive.wasm.types.MemoryLimits;

/** Wait and notify: who waits holds nobody up, and no notification is lost or taken by another. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WaitTest {
  private static final MemoryLimits SHARED = new MemoryLimits(1, 1, true);
  private static final int ADDRESS = 4096;

  /** A thread of the guest in {@code memory.atomic.wait}. */
  private static final class Waiter {
    final CompletableFuture<Integer> result = new CompletableFuture<>();
    final Thread thread;

    Waiter(Guest guest, TrackedMemory memory, ToIntFunction<TrackedMemory> wait) {
      Vcpu vcpu = guest.memory.addVcpu();
      TrackedMemory facade = memory.withVcpu(vcpu);
      thread =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  int woken = wait.applyAsInt(facade);
                  facade.atomicAddInt(ADDRESS + 64, 1); // it goes on
                  result.complete(woken);
                } catch (Throwable e) {
                  result.completeExceptionally(e);
                } finally {
                  vcpu.offline();
                }
              });
    }

    Waiter untilItWaits() {
      while (thread.getState() != Thread.State.WAITING
          && thread.getState() != Thread.State.TIMED_WAITING) {
        Thread.onSpinWait();
        assertFalse(result.isDone(), "did not wait");
      }
      return this;
    }

    int get() throws Exception {
      return result.get();
    }
  }

  private static Waiter waiter(Guest guest, TrackedMemory memory) {
    return new Waiter(guest, memory, m -> m.atomicWait(ADDRESS, 0, -1)).untilItWaits();
  }

  @Test
  void barrierAndPause_vcpuWaits_returnAtOnce() throws Exception {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(SHARED);
      Waiter ints = waiter(guest, memory);
      Waiter longs =
          new Waiter(guest, memory, m -> m.atomicWait(ADDRESS + 8, 0L, 100_000_000_000L))
              .untilItWaits();
      guest.memory.log().barrier(); // each would time out
      guest.memory.log().pause().close();
      assertEquals(1, memory.atomicNotify(ADDRESS, 1));
      assertEquals(WaitQueues.WOKEN, ints.get());
      assertEquals(1, memory.atomicNotify(ADDRESS + 8, 1));
      assertEquals(WaitQueues.WOKEN, longs.get());
      assertEquals(2, memory.atomicReadInt(ADDRESS + 64));
    }
  }

  @Test
  void notify_inAPause_waiterGoesOnAfterIt() throws Exception {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(SHARED);
      Waiter waiter = waiter(guest, memory);
      guest.vcpu.online(); // before the pause: one's own vCPU goes on in it
      VcpuPause pause = guest.memory.log().pause();
      try {
        assertEquals(1, memory.atomicNotify(ADDRESS, 1));
        for (int i = 0; i < 100_000; i++) {
          assertEquals(0, memory.atomicReadInt(ADDRESS + 64));
        }
        assertFalse(waiter.result.isDone());
      } finally {
        pause.close();
      }
      assertEquals(WaitQueues.WOKEN, waiter.get());
      assertEquals(1, memory.atomicReadInt(ADDRESS + 64));
    }
  }

  @Test
  void notify_severalWaiters_wakesAsManyAsAsked() throws Exception {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(SHARED);
      List<Waiter> waiters = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        waiters.add(waiter(guest, memory));
      }
      assertEquals(0, memory.atomicNotify(ADDRESS, 0));
      assertEquals(0, memory.atomicNotify(ADDRESS + 4, 9)); // nobody there
      assertEquals(2, memory.atomicNotify(ADDRESS, 2));
      assertEquals(WaitQueues.WOKEN, waiters.get(0).get());
      assertEquals(WaitQueues.WOKEN, waiters.get(1).get());
      assertFalse(waiters.get(2).result.isDone() || waiters.get(3).result.isDone());
      assertEquals(2, memory.atomicNotify(ADDRESS, -1));
      assertEquals(WaitQueues.WOKEN, waiters.get(2).get());
      assertEquals(WaitQueues.WOKEN, waiters.get(3).get());
      assertEquals(0, memory.atomicNotify(ADDRESS, -1));
    }
  }

  @Test
  void wait_timeout_leavesNobodyToNotify() throws Exception {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(SHARED);
      assertEquals(WaitQueues.TIMED_OUT, memory.atomicWait(ADDRESS, 0, 1_000_000));
      assertEquals(WaitQueues.TIMED_OUT, memory.atomicWait(ADDRESS, 0L, 0));
      assertEquals(WaitQueues.NOT_EQUAL, memory.atomicWait(ADDRESS, 1, -1));
      assertEquals(WaitQueues.NOT_EQUAL, memory.atomicWait(ADDRESS, 1L << 40, -1));
      assertEquals(0, memory.atomicNotify(ADDRESS, -1));
      assertEquals(0, memory.atomicAddInt(ADDRESS, 1)); // online again
    }
  }

  @Test
  void wait_interrupted_throwsAsEndiveDoes() throws Exception {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(SHARED);
      Waiter waiter = waiter(guest, memory);
      waiter.thread.interrupt();
      ExecutionException e = assertThrows(ExecutionException.class, waiter::get);
      assertInstanceOf(WasmInterruptedException.class, e.getCause());
      assertEquals(0, memory.atomicNotify(ADDRESS, -1));
    }
  }

  @Test
  void wait_unsharedMemory_refusedAsByEndive() {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(1);
      assertThrows(WasmEngineException.class, () -> memory.atomicWait(ADDRESS, 0, 1));
      assertEquals(0, memory.atomicNotify(ADDRESS, 1));
    }
  }

  /** A guest that calls itself too often may do that in a wait. */
  @Test
  void await_stackEnds_lockIsGivenBackAndNobodyIsLeftInTheQueue() {
    WaitQueues queues = new WaitQueues();
    int errors =
        StackSqueeze.squeeze(
            () -> {},
            () -> queues.await(ADDRESS, () -> true, 1),
            thrown -> assertEquals(0, wakeInAnotherThread(queues)));
    assertTrue(errors > 5, errors + " errors");
  }

  @Test
  void wake_stackEnds_waiterIsWokenByTheNext() throws Exception {
    WaitQueues queues = new WaitQueues();
    int[] woken = new int[1];
    CompletableFuture<?>[] waiter = new CompletableFuture<?>[1];
    int errors =
        StackSqueeze.squeeze(
            () -> {
              Thread[] thread = new Thread[1];
              waiter[0] =
                  CompletableFuture.runAsync(
                      () -> assertEquals(WaitQueues.WOKEN, queues.await(ADDRESS, () -> true, -1)),
                      task -> thread[0] = Thread.ofPlatform().daemon().start(task));
              while (thread[0].getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
              }
              woken[0] = 0;
            },
            () -> woken[0] = queues.wake(ADDRESS, 1),
            thrown -> {
              assertEquals(1 - woken[0], wakeInAnotherThread(queues));
              waiter[0].get(10, TimeUnit.SECONDS);
            });
    assertTrue(errors > 5, errors + " errors");
  }

  private static int wakeInAnotherThread(WaitQueues queues) throws Exception {
    return CompletableFuture.supplyAsync(() -> queues.wake(ADDRESS, -1)).get(10, TimeUnit.SECONDS);
  }
}
