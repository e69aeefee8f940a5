package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Cached views of slots that are removed, their memory poisoned as it is reclaimed: docs/bugs.md
 * rows 26 and 29.
 */
@Timeout(300)
class CachedViewTest {
  private static final int PAGE = 256;
  private static final byte POISON = (byte) 0xdb;

  @BeforeEach
  void poison() {
    System.setProperty("dev.smudge.poison", "true");
  }

  @AfterEach
  void noPoison() {
    System.clearProperty("dev.smudge.poison");
  }

  @Test
  void bug26_cachedSlotsUnderChurn_poisonIsNeverSeen() {
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, 4 * PAGE, PAGE);
      Threads.runAll(
          4,
          index -> {
            if (index == 0) {
              try {
                for (int i = 0; i < 150; i++) {
                  memory.removeSlot(0).close();
                  memory.addSlot(0, 0, 4 * PAGE, PAGE);
                }
              } finally {
                stop.set(true);
              }
            } else if (index == 1) {
              byte[] seen = new byte[8];
              while (!stop.get()) {
                try {
                  memory.device().read(PAGE, MemorySegment.ofArray(seen));
                  assertFalse(seen[0] == POISON || seen[7] == POISON);
                } catch (GuestAccessException e) {
                  Thread.onSpinWait();
                }
              }
            } else {
              read(memory, stop);
            }
          });
    }
  }

  private static void read(GuestMemory memory, AtomicBoolean stop) {
    try (Vcpu vcpu = memory.addVcpu()) {
      while (!stop.get()) {
        try {
          for (int i = 0; i < 100; i++) {
            assertFalse(vcpu.getByte(i) == POISON, "reclaimed memory");
            vcpu.putByte(i, (byte) 1);
          }
        } catch (GuestAccessException e) {
          Thread.onSpinWait();
        }
        vcpu.safepoint();
      }
    }
  }

  /** The poison is there for whoever keeps a slot for too long. */
  @Test
  void weakened_viewKeptPastItsGracePeriod_seesThePoison() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4 * PAGE, PAGE);
      RemovedSlot<GuestSlot> removed = memory.removeSlot(0);
      assertEquals(0, slot.ram().get(ValueLayout.JAVA_BYTE, 0), "the remover has it still");
      removed.close();
      assertEquals(POISON, slot.ram().get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  @Test
  void bug29_oneSlotUsedOfAllThatThereMayBe_aSyncAsksTheBackendOnce() {
    AtomicInteger fetches = new AtomicInteger();
    GuestMemory memory =
        GuestMemory.over(
            LogKind.BITMAP
                .builder()
                .interceptTracker(backend -> new Counting(backend, fetches))
                .build());
    try (memory) {
      memory.addSlot(32_763, 0, MemorySegment.ofArray(new byte[PAGE]), PAGE);
      try (SlotTransaction change = memory.beginTransaction()) {
        for (int id = 0; id < 1000; id++) {
          change.add(id, PAGE * (1L + id), MemorySegment.ofArray(new byte[PAGE]), PAGE);
        }
        change.commit();
      }
      try (SlotTransaction change = memory.beginTransaction()) {
        for (int id = 0; id < 1000; id++) {
          change.remove(id);
        }
        change.commit().forEach(RemovedSlot::close);
      }
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.ALL_DIRTY);
      fetches.set(0);
      client.take().close();
      assertEquals(1, fetches.get());
      assertTrue(memory.slots().size() == 1);
    }
  }

  private static final class Counting extends ForwardingTracker {
    private final AtomicInteger fetches;

    Counting(Tracker backend, AtomicInteger fetches) {
      super(backend);
      this.fetches = fetches;
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      fetches.incrementAndGet();
      super.collect(slot, to, sink);
    }
  }
}
