package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.rcu.RcuTimeoutException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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

  /** Throws once, where it has to tell of new bits. */
  private static final class FailsOnce extends ForwardingTracker {
    volatile boolean fails;

    FailsOnce(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      if (fails) {
        fails = false;
        throw new OutOfMemoryError("asked for");
      }
      super.collect(slot, to, sink);
    }
  }

  /** What a vCPU has written between the change and its safepoint is in the slot of before. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void commit_theLastFetchFails_theHandleHasItsPages(boolean batchIsClosed) throws Exception {
    AtomicReference<FailsOnce> tracker = new AtomicReference<>();
    DirtyLog log =
        DirtyLog.builder()
            .interceptTracker(real -> {
              tracker.set(new FailsOnce(real));
              return Objects.requireNonNull(tracker.get());
            })
            .errorHandler(e -> {})
            .build();
    try (GuestMemory memory = GuestMemory.over(log)) {
      memory.addSlot(0, 0, 16 * 4096);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      DirtyBatch<GuestSlot> batch = client.take(); // empty
      CountDownLatch ready = new CountDownLatch(1);
      Future<?> guest =
          Threads.start(
              "guest",
              index -> {
                try (Vcpu vcpu = memory.addVcpu()) {
                  vcpu.putInt(0, 1);
                  ready.countDown();
                  while (!memory.slots().isEmpty()) {
                    Thread.onSpinWait();
                  }
                  vcpu.putInt(7 * 4096, 42); // by the map of before
                  Objects.requireNonNull(tracker.get()).fails = true;
                }
              },
              0);
      ready.await();
      try (SlotTransaction change = memory.beginTransaction()) {
        change.remove(0);
        assertThrows(OutOfMemoryError.class, change::commit);
        guest.get();
        if (batchIsClosed) {
          batch.close(); // releases slots that nobody uses: not this one
        }
        Set<Long> pages = new TreeSet<>();
        try (RemovedSlot<GuestSlot> removed = change.removed().getFirst()) {
          removed.forEachRun((slot, first, count) -> pages.add(first));
        }
        assertEquals(Set.of(0L, 7L), pages);
      }
      batch.close();
      client.close();
    }
  }
}
