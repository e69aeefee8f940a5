package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** What is counted, and the rates that come of it. */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DirtyCountersTest {
  private static final int PAGE = 4096;

  private final Mode mode;
  private final DirtyLog log;
  private final LogSlot slot;

  DirtyCountersTest(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().errorHandler(e -> {}).build();
    this.slot = log.addSlot(0, 1_000, PAGE);
  }

  private static void take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.commit();
    }
  }

  @Test
  void counters_scriptOfVcpusAndDevices_areExact() {
    LogVcpu one = log.addVcpu();
    LogVcpu two = log.addVcpu();
    one.mark(slot, 0, 10 * PAGE); // nothing is logged
    assertEquals(0, log.counters().dirtyPages());
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    one.mark(slot, 5 * PAGE - 1, 2); // two pages
    one.mark(slot, 5 * PAGE, 1); // marked already
    one.offline();
    two.mark(slot, 4 * PAGE, 3 * PAGE); // the third is new
    log.mark(slot, 4 * PAGE, PAGE); // a device does not look
    log.mark(slot, 5 * PAGE, PAGE);
    log.mark(slot, 5 * PAGE, PAGE); // not drained yet
    log.mark(slot, 5 * PAGE, 0);
    DirtyCounters now = log.counters();
    assertEquals(3, now.dirtyPages());
    assertEquals(2, now.devicePages());
    assertEquals(Map.of(0, 2L, 1, 1L), now.vcpuPages());
    take(client);
    two.mark(slot, 4 * PAGE, 3 * PAGE);
    log.mark(slot, 5 * PAGE, PAGE);
    two.offline();
    now = log.counters();
    assertEquals(6, now.dirtyPages());
    assertEquals(3, now.devicePages());
    assertEquals(Map.of(0, 2L, 1, 4L), now.vcpuPages());
    assertEquals(4, Dirty.madeBy(two));
    assertEquals(0, now.ringFullWaits());
    assertEquals(0, now.ringSpills());
    assertEquals(mode.hasRings() ? 3 : 0, now.ringEntries());
    assertEquals(mode.hasRings() ? 2 : 0, now.ringResets(), "one a ring");
    log.sync();
    two.mark(slot, 4 * PAGE, 3 * PAGE);
    assertEquals(
        mode.hasRings() ? 9 : 6, log.counters().dirtyPages(), "with rings a sync arms, too");
  }

  @Test
  void bug31_vcpusComeAndGoWhileItIsMeasured_whatTheyDidCounts() {
    LogVcpu stays = log.addVcpu();
    LogVcpu goes = log.addVcpu();
    log.client("c", InitialView.NONE_DIRTY);
    goes.mark(slot, 0, 3 * PAGE);
    goes.offline();
    DirtyCounters before = log.counters();
    goes.mark(slot, 10 * PAGE, 4 * PAGE);
    goes.close();
    goes.close();
    LogVcpu comes = log.addVcpu();
    comes.mark(slot, 20 * PAGE, 5 * PAGE);
    comes.offline();
    LogVcpu shortOne = log.addVcpu();
    shortOne.mark(slot, 30 * PAGE, 6 * PAGE);
    shortOne.close();
    stays.mark(slot, 40 * PAGE, 7 * PAGE);
    DirtyCounters after = log.counters();
    assertEquals(3, before.dirtyPages());
    assertEquals(3 + 4 + 5 + 6 + 7, after.dirtyPages());
    assertEquals(Map.of(0, 0L, 1, 3L), before.vcpuPages());
    assertEquals(Map.of(0, 7L, 2, 5L), after.vcpuPages());
    double seconds = (after.nanoTime() - before.nanoTime()) / 1e9;
    assertEquals(22, after.pagesPerSecondSince(before) * seconds, 1e-6);
    assertEquals(7, after.pagesPerSecondSince(before, 0) * seconds, 1e-6);
    assertEquals(5, after.pagesPerSecondSince(before, 2) * seconds, 1e-6);
    for (int gone : new int[] {1, 3, 4, -1}) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> after.pagesPerSecondSince(before, gone));
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains("vCPU " + gone) && message.contains("0, 2"), message);
    }
  }

  @Test
  void bug31_countersReadAllTheTimeWhileVcpusComeAndGo_neverGoBackAndAreExactInTheEnd() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong marked = new AtomicLong();
    List<GuestThread> threads = new ArrayList<>();
    List<Future<?>> running = new ArrayList<>();
    for (int t = 0; t < 2; t++) {
      GuestThread thread = new GuestThread("plug " + t);
      threads.add(thread);
      int number = t;
      running.add(
          thread.begin(() -> {
            for (int i = 0; !stop.get(); i++) {
              LogVcpu vcpu = log.addVcpu();
              for (int k = 0; k < 20; k++) {
                vcpu.mark(slot, (number * 500L + (i * 20 + k) % 500) * PAGE, 1);
                vcpu.safepoint();
              }
              vcpu.offline();
              marked.addAndGet(Dirty.madeBy(vcpu));
              vcpu.close();
            }
          }));
    }
    DirtyCounters first = log.counters();
    DirtyCounters last = first;
    for (int i = 0; i < 3_000; i++) {
      DirtyCounters now = log.counters();
      assertTrue(now.dirtyPages() >= last.dirtyPages(), "a vCPU that goes takes nothing with it");
      assertTrue(now.ringEntries() >= last.ringEntries());
      assertTrue(now.pagesPerSecondSince(last) >= 0);
      last = now;
      take(client);
    }
    stop.set(true);
    GuestThread.await(() -> {
      take(client); // room
      return running.stream().allMatch(Future::isDone);
    });
    running.forEach(GuestThread::end);
    threads.forEach(GuestThread::close);
    last = log.counters();
    assertEquals(marked.get(), last.dirtyPages());
    assertEquals(Set.of(), last.vcpuPages().keySet());
  }

  /** Who closes a dead one does not own it: two may do it at once. */
  @Test
  void close_deadVcpuByTwoAtOnce_countsOnce() throws Exception {
    Map<Integer, Runnable> again = new HashMap<>();
    DirtyLog hooked =
        mode.builder()
            .errorHandler(e -> {})
            .interceptTracker(backend ->
                new ForwardingTracker(backend) {
                  @Override
                  public int reapRings(RingPageConsumer sink) {
                    Runnable close = again.remove(0);
                    if (close != null) {
                      close.run();
                    }
                    return super.reapRings(sink);
                  }
                })
            .build();
    LogSlot ram = hooked.addSlot(0, 100, PAGE);
    LogVcpu vcpu = hooked.addVcpu();
    DirtyClient<LogSlot> client = hooked.client("c", InitialView.NONE_DIRTY);
    Thread thread = new Thread(() -> vcpu.mark(ram, 0, 3 * PAGE));
    thread.start();
    thread.join();
    again.put(0, vcpu::close);
    vcpu.close();
    assertEquals(3, hooked.counters().dirtyPages());
    assertEquals(mode.hasRings() ? 3 : 0, hooked.counters().ringEntries());
    take(client);
    assertEquals(3, hooked.counters().dirtyPages());
  }

  @Test
  void rate_wrongOrderOrNoTime_isRefusedOrZero() {
    DirtyCounters early = new DirtyCounters(-5, 1, 0, Map.of(0, 1L), 0, 0, 0, 0);
    DirtyCounters late = new DirtyCounters(95, 11, 20, Map.of(0, 6L), 0, 0, 0, 0);
    assertEquals(3e8, late.pagesPerSecondSince(early), 1);
    assertEquals(5e7, late.pagesPerSecondSince(early, 0), 1);
    assertEquals(0, late.pagesPerSecondSince(late));
    for (Runnable wrong :
        List.<Runnable>of(
            () -> early.pagesPerSecondSince(late), () -> early.pagesPerSecondSince(late, 0))) {
      IllegalArgumentException e = assertThrows(IllegalArgumentException.class, wrong::run);
      assertTrue(String.valueOf(e.getMessage()).contains("100 ns after"), e.getMessage());
    }
    Map<Integer, Long> pages = new HashMap<>(Map.of(1, 1L));
    DirtyCounters copy = new DirtyCounters(0, 0, 0, pages, 0, 0, 0, 0);
    pages.clear();
    assertEquals(Map.of(1, 1L), copy.vcpuPages());
    assertThrows(UnsupportedOperationException.class, () -> copy.vcpuPages().clear());
  }
}
