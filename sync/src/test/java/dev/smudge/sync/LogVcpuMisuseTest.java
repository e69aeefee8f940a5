package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** What a vCPU does when its tasks, its arm callback or a backend do the unexpected. */
@Timeout(60)
@ParameterizedClass
@EnumSource(Mode.class)
final class LogVcpuMisuseTest {
  private final Mode mode;

  LogVcpuMisuseTest(Mode mode) {
    this.mode = mode;
  }

  /** Else it would be online with no thread, and every later barrier would wait in vain. */
  @Test
  void safepoint_taskGoesOfflineWhilePauseIsOn_staysOffline() throws Exception {
    try (DirtyLog log = mode.builder().timeout(Duration.ofSeconds(2)).build()) {
      log.addSlot(0, 64, 4096);
      LogVcpu vcpu = log.addVcpu();
      vcpu.online();
      Thread other = new Thread(() -> log.pause().close());
      other.start();
      while (other.getState() != Thread.State.TIMED_WAITING) { // waits for the vCPU
        Thread.onSpinWait();
      }
      CompletableFuture<?> task =
          CompletableFuture.supplyAsync(
                  () -> new CompletableFuture<?>[] {vcpu.runOnVcpu(vcpu::offline)})
              .get()[0];
      vcpu.safepoint();
      task.get();
      other.join();
      log.barrier();
      assertTrue(vcpu.toString().contains("offline"), vcpu.toString());
    }
  }

  @Test
  void safepoint_taskHandsTheVcpuToAnotherThread_doesNotAcknowledgeForIt() throws Exception {
    try (DirtyLog log = mode.log();
        GuestThread first = new GuestThread("first");
        GuestThread second = new GuestThread("second")) {
      LogVcpu vcpu = log.addVcpu();
      Thread collector = new Thread(log::barrier);
      first.run(vcpu::online);
      CompletableFuture<?> task =
          vcpu.runOnVcpu(() -> {
            vcpu.offline();
            second.run(vcpu::online); // in the middle of a block from here on
            collector.start();
            GuestThread.await(() -> collector.getState() == Thread.State.TIMED_WAITING);
          });
      first.run(vcpu::safepoint);
      task.get();
      collector.join(100);
      assertTrue(collector.isAlive(), "it waits for the second thread");
      second.run(vcpu::safepoint);
      collector.join();
      second.run(vcpu::close);
    }
  }

  @Test
  void mark_armCallbackThrowsAsItComesOnline_pageIsMarked() {
    try (DirtyLog log = mode.log()) {
      LogSlot slot = log.addSlot(0, 64, 4096);
      boolean[] fails = {false};
      LogVcpu vcpu =
          log.addVcpu(() -> {
            if (fails[0]) {
              throw new IllegalStateException("planted");
            }
          });
      DirtyClient<LogSlot> client = log.client("test", InitialView.NONE_DIRTY);
      fails[0] = true;
      assertThrows(IllegalStateException.class, () -> vcpu.mark(slot, 0, 8));
      fails[0] = false;
      vcpu.offline();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(1, batch.pageCount());
      }
    }
  }

  /**
   * A fetch that was cut short took summary bits: the blocks behind them stay suspect until a
   * barrier that began after it, not after the fetch before it.
   */
  @Test
  void sync_afterOneThatWasCutShort_findsMarkThatWasHalfWay() {
    Assumptions.assumeFalse(mode.hasRings(), "help is for those: RingHelpTest");
    boolean[] fails = {false};
    try (DirtyLog log =
        mode.builder()
            .interceptTracker(backend ->
                new ForwardingTracker(backend) {
                  @Override
                  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                    to.collect((wordIndex, bits) -> {
                      if (fails[0] && wordIndex > 600) {
                        throw new IllegalStateException("planted");
                      }
                      sink.accept(wordIndex, bits);
                    });
                  }
                })
            .build()) {
      LogSlot slot = log.addSlot(0, 1 << 16, 1);
      LogVcpu vcpu = log.addVcpu();
      DirtyClient<LogSlot> client = log.client("test", InitialView.NONE_DIRTY);
      vcpu.mark(slot, 1, 1);
      vcpu.mark(slot, 40_000, 1); // behind another summary word
      vcpu.offline();
      fails[0] = true;
      assertThrows(IllegalStateException.class, log::sync);
      fails[0] = false;
      log.sync();
      long before = client.dirtyPages();
      // A mark that was half-way all the time: the word, behind no summary bit.
      Objects.requireNonNull(slot.live).disarm();
      log.sync();
      assertTrue(client.dirtyPages() > before, "not found: dirty pages " + before);
    }
  }
}
