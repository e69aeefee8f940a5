package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Dirty rings: what comes out of them, step by step. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingModeTest {
  private static final int PAGE = 4096;

  private final Hooks hooks = new Hooks();

  /** Something that happens in the middle of a fetch. */
  private static final class Hooks {
    Runnable afterReap = () -> {};
    Runnable beforeBitmap = () -> {};
    Runnable afterBitmap = () -> {};
    Runnable atPage = () -> {};

    Tracker over(Tracker backend) {
      return new ForwardingTracker(backend) {
        @Override
        public int reapRings(RingPageConsumer sink) {
          int entries =
              super.reapRings((slotId, page) -> {
                sink.accept(slotId, page);
                atPage.run();
              });
          afterReap.run();
          return entries;
        }

        @Override
        protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
          beforeBitmap.run();
          super.collect(slot, to, sink);
          afterBitmap.run();
        }
      };
    }
  }

  private DirtyLog log(int entries) {
    return DirtyLog.builder()
        .ring(entries, 0, RingFullPolicy.SPILL)
        .interceptTracker(hooks::over)
        .errorHandler(e -> {})
        .build();
  }

  /** Each page is written again the moment it is armed: there is always one entry more. */
  @ParameterizedTest
  @ValueSource(ints = {2, 64, 1024, 2048, 65_536})
  void bug09_vcpuMarksAgainWhatASyncHarvests_syncReturnsAfterOneRound(int entries) {
    DirtyLog log = log(entries);
    LogSlot slot = log.addSlot(0, 4096, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, slot.pageCount() * PAGE);
    int[] pages = {0};
    hooks.atPage =
        () -> {
          vcpu.mark(slot, pages[0] % 4096L * PAGE, 1);
          pages[0]++;
        };
    log.sync();
    hooks.atPage = () -> {};
    assertTrue(pages[0] > 0 && pages[0] <= entries, pages[0] + " pages in a sync");
    assertEquals(Dirty.range(0, 4096), Dirty.take(client));
  }

  @Test
  void bug09_vcpuMarksAllTheTime_everySyncReturns() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 4096, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            for (long i = 0; !stop.get(); i++) {
              vcpu.mark(slot, i % 4096 * PAGE, 1);
              vcpu.safepoint();
            }
            vcpu.close();
          });
      GuestThread.await(() -> Dirty.madeBy(vcpu) > 0);
      for (int i = 0; i < 2_000; i++) {
        log.sync();
      }
      stop.set(true);
      GuestThread.end(running);
    }
    assertTrue(client.dirtyPages() > 0);
  }

  @Test
  void bug15_deviceWritesAtAnyMomentOfAFetch_areFoundByItOrTheNext() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 1_000, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogVcpu vcpu = log.addVcpu();
    hooks.afterReap = () -> log.mark(slot, 10 * PAGE, 1);
    hooks.beforeBitmap = () -> log.mark(slot, 20 * PAGE, 1);
    hooks.afterBitmap = () -> log.mark(slot, 30 * PAGE, 1);
    hooks.atPage = () -> log.mark(slot, 40 * PAGE, 1);
    log.mark(slot, 50 * PAGE, 1);
    vcpu.mark(slot, 60 * PAGE, 1);
    assertEquals(Set.of(10L, 20L, 30L, 40L, 50L, 60L), Dirty.take(client), "before the drain");
    assertEquals(Set.of(10L, 20L, 30L), Dirty.take(client), "each write again");
    hooks.afterReap = hooks.beforeBitmap = hooks.afterBitmap = () -> {};
    assertEquals(Set.of(), Dirty.take(client));
    assertEquals(1, log.counters().ringEntries(), "a device has no ring");
  }

  @Test
  void bug15_deviceThreadWritesInRingMode_everyPageIsFound() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 1_000, 1);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    long[] ram = new long[1_000];
    long[] copy = new long[1_000];
    try (GuestThread device = new GuestThread("device")) {
      Future<?> running =
          device.begin(() -> {
            for (int i = 1; i <= 300_000; i++) {
              ram[i % 1_000] = i;
              log.mark(slot, i % 1_000, 1);
            }
          });
      for (boolean last = false; !last; ) {
        last = running.isDone();
        try (DirtyBatch<LogSlot> batch = client.take()) {
          batch.forEachRun((id, first, count) ->
              System.arraycopy(ram, (int) first, copy, (int) first, (int) count));
          batch.commit();
        }
      }
      GuestThread.end(running);
    }
    for (int p = 0; p < 1_000; p++) {
      assertEquals(ram[p], copy[p], "page " + p);
    }
  }

  /**
   * Entries of several rings were harvested and armed, and told to nobody: still nothing is lost.
   */
  @Test
  void bug19_faultAtEveryPageOfAReap_pagesAreFoundAlsoIfTheVcpuIsClosedNext() {
    for (boolean close : new boolean[] {false, true}) {
      for (int failing = 1; failing <= 30; failing++) {
        DirtyLog log = log(64);
        LogSlot slot = log.addSlot(0, 1_000, PAGE);
        DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
        List<LogVcpu> vcpus = new ArrayList<>();
        for (int v = 0; v < 3; v++) {
          vcpus.add(log.addVcpu());
          vcpus.get(v).mark(slot, v * 100L * PAGE, 10 * PAGE);
          vcpus.get(v).offline();
        }
        int[] left = {failing};
        hooks.atPage =
            () -> {
              left[0]--;
              if (left[0] == 0) {
                throw new TestTracker.Fault("page");
              }
            };
        assertThrows(TestTracker.Fault.class, log::sync);
        hooks.atPage = () -> {};
        vcpus.get(2).mark(slot, 500L * PAGE, 1);
        vcpus.get(2).offline();
        if (close) {
          vcpus.forEach(LogVcpu::close);
        }
        Set<Long> expected = Dirty.range(0, 10);
        expected.addAll(Dirty.range(100, 110));
        expected.addAll(Dirty.range(200, 210));
        expected.add(500L);
        assertEquals(expected, Dirty.take(client), "page " + failing + ", close " + close);
        assertEquals(31, log.counters().ringEntries());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 64, 1024})
  void bug32_morePagesInABlockThanTheRingHas_areAllFound(int entries) {
    DirtyLog log = log(entries);
    LogSlot slot = log.addSlot(0, 5_000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    for (int more : new int[] {0, 1, 63, 64, 65, 3_000}) {
      long spills = log.counters().ringSpills();
      for (long page = 0; page < entries + more; page++) {
        vcpu.mark(slot, page * PAGE, 1);
      }
      assertEquals(more, log.counters().ringSpills() - spills, "those without room");
      assertEquals(Dirty.range(0, entries + more), Dirty.take(client));
      vcpu.mark(slot, 0, (entries + more) * (long) PAGE); // the same in one go
      assertEquals(2L * more, log.counters().ringSpills() - spills, "as before");
      assertEquals(Dirty.range(0, entries + more), Dirty.take(client));
    }
  }

  /** Between the harvest and the bitmap's pass the ring has room for some, and not for others. */
  @Test
  void bug32_pagesSpilledAtAnyMomentOfAFetch_areFoundByItOrTheNext() {
    DirtyLog log = log(2);
    LogSlot slot = log.addSlot(0, 70_000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, 4 * PAGE);
    hooks.afterReap = () -> vcpu.mark(slot, 100 * PAGE, 5 * PAGE);
    hooks.beforeBitmap = () -> vcpu.mark(slot, 66_000L * PAGE, 5 * PAGE);
    hooks.afterBitmap = () -> vcpu.mark(slot, 200 * PAGE, 5 * PAGE);
    Set<Long> found = Dirty.take(client);
    hooks.afterReap = hooks.beforeBitmap = hooks.afterBitmap = () -> {};
    assertTrue(found.containsAll(Dirty.range(0, 4)), found::toString);
    assertTrue(found.containsAll(Dirty.range(66_000, 66_005)), found::toString);
    found.addAll(Dirty.take(client));
    assertTrue(found.containsAll(Dirty.range(100, 105)), found::toString);
    assertTrue(found.containsAll(Dirty.range(200, 205)), found::toString);
    assertEquals(Set.of(), Dirty.take(client));
    assertEquals(19, found.size());
  }

  @Test
  void take_byTheVcpuItself_findsWhatIsInItsOwnRing() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 100, PAGE);
    int[] arms = {0};
    LogVcpu vcpu = log.addVcpu(() -> arms[0]++);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    for (int i = 0; i < 200; i++) {
      vcpu.mark(slot, i % 100L * PAGE, 1);
      int before = arms[0];
      assertEquals(Set.of(i % 100L), Dirty.take(client));
      assertEquals(before + 1, arms[0], "the reap arms: what lets it skip marks is dropped");
      assertFalse(vcpu.state().isOffline());
    }
    assertEquals(200, log.counters().ringResets());
    assertEquals(200, log.counters().ringEntries());
  }

  @Test
  void close_vcpuWithEntriesInItsRing_pagesAreFound() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 1_000, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogVcpu vcpu = log.addVcpu();
    vcpu.mark(slot, 0, 40 * PAGE);
    vcpu.mark(slot, 100 * PAGE, 100 * PAGE); // more than there is room for
    vcpu.close();
    Set<Long> expected = Dirty.range(0, 40);
    expected.addAll(Dirty.range(100, 200));
    assertEquals(expected, Dirty.take(client));
  }

  /** Tracking is off: no page is armed, and a write costs one load. */
  @Test
  void sync_noClientAndEntriesInARing_armsNothing() {
    DirtyLog log = log(64);
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 7 * PAGE, 1);
    client.close();
    log.sync();
    assertTrue(slot.isMarked(7));
    try (DirtyClient<LogSlot> next = log.client("next", InitialView.NONE_DIRTY)) {
      assertEquals(Set.of(), Dirty.take(next), "of the time before");
      vcpu.mark(slot, 7 * PAGE, 1);
      assertEquals(Set.of(7L), Dirty.take(next));
    }
  }
}
