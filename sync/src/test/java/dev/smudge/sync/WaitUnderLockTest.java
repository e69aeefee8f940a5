package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.rcu.RcuTimeoutException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The guest's tracker waits for others in a call under the collector lock, which it must not. */
@Timeout(60)
class WaitUnderLockTest {
  private Runnable inCollect = () -> {};
  private final DirtyLog log = DirtyLog.builder().interceptTracker(Waiting::new).build();
  private final DirtyClient<LogSlot> client;
  private final LogVcpu vcpu = log.addVcpu();

  WaitUnderLockTest() {
    log.addSlot(0, 100, 4096);
    client = log.client("c", InitialView.NONE_DIRTY);
  }

  private final class Waiting extends ForwardingTracker {
    Waiting(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      inCollect.run();
      super.collect(slot, to, sink);
    }
  }

  /** Those who are waited for may need the lock: whoever holds a pause takes, for example. */
  @Test
  void collect_waitsForOthers_isRefused() {
    AtomicInteger refused = new AtomicInteger();
    for (boolean online : new boolean[] {false, true}) {
      if (online) {
        vcpu.online();
      }
      for (Runnable wait :
          new Runnable[] {
            log::barrier, log.rcu()::synchronize, log.rcu()::barrier, () -> log.pause().close(),
          }) {
        inCollect =
            () -> {
              RuntimeException e = assertThrows(RuntimeException.class, wait::run);
              assertTrue(
                  String.valueOf(e.getMessage()).contains("inside a call under the collector lock"),
                  e.getMessage());
              refused.incrementAndGet();
            };
        log.sync();
      }
    }
    assertEquals(8, refused.get());
    inCollect = () -> {};
    vcpu.mark(log.slot(0), 5 * 4096, 1);
    assertEquals("[5]", Dirty.take(client).toString());
    log.close();
  }

  /** A task there would retire slots in the middle of the walk over them. */
  @Test
  void collect_runsTheTasksOfRcu_theyRunLater() throws Exception {
    DirtyLog mine =
        DirtyLog.builder().timeout(Duration.ofMillis(50)).interceptTracker(Waiting::new).build();
    LogSlot first = mine.addSlot(0, 100, 4096);
    LogSlot second = mine.addSlot(1, 100, 4096);
    DirtyClient<LogSlot> all = mine.client("all", InitialView.NONE_DIRTY);
    CompletableFuture<Void> inside = new CompletableFuture<>();
    CompletableFuture<Void> leave = new CompletableFuture<>();
    Thread reader =
        new Thread(() -> {
          mine.rcu().enter();
          inside.complete(null);
          leave.join();
          mine.rcu().exit();
        });
    reader.start();
    inside.join();
    mine.mark(first, 5 * 4096, 1);
    mine.mark(second, 6 * 4096, 1);
    SlotChange change = mine.change().remove(first).remove(second);
    assertThrows(RcuTimeoutException.class, change::commit); // they are retired by a task
    leave.complete(null);
    reader.join();
    AtomicInteger ran = new AtomicInteger();
    inCollect =
        () -> {
          for (int i = 0; i < 4; i++) {
            ran.addAndGet(mine.rcu().reclaim());
          }
        };
    all.take().close();
    assertEquals(0, ran.get());
    inCollect = () -> {};
    mine.rcu().barrier();
    assertEquals(List.of(1L, 1L), change.removed().stream().map(RemovedSlot::dirtyPages).toList());
    mine.close();
  }

  /** The holder of the pause takes: it would wait for the lock, and the vCPU for the holder. */
  @SuppressWarnings("try") // the pause is for what is inside
  @Test
  void collect_safepointInAPause_takesTheVcpuOffline() throws Exception {
    CompletableFuture<Void> holder = new CompletableFuture<>();
    Thread pauses =
        new Thread(() -> {
          try (VcpuPause pause = log.pause()) {
            log.sync();
            holder.complete(null);
          } catch (Throwable e) {
            holder.completeExceptionally(e);
          }
        });
    vcpu.online();
    inCollect =
        () -> {
          inCollect = () -> {};
          pauses.start();
          while (!holder.isDone()) {
            vcpu.safepoint();
          }
        };
    VcpuException e = assertThrows(VcpuException.class, client::take);
    assertTrue(String.valueOf(e.getMessage()).contains("under the collector lock"), e.getMessage());
    assertFalse(vcpu.isOnlineHere());
    holder.get(30, TimeUnit.SECONDS);
    pauses.join();
    vcpu.mark(log.slot(0), 5 * 4096, 1);
    assertEquals("[5]", Dirty.take(client).toString());
    log.close();
  }
}
