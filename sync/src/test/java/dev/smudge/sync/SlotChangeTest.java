package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.internal.collect.Peek;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Slots that come and go: what becomes of their dirty pages. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SlotChangeTest extends SlotChangeCase {
  SlotChangeTest(Mode mode) {
    super(mode);
  }

  @Test
  void split_dirtyPages_areDirtyInTheNewSlotsAndNoOthers() {
    LogSlot slot = log.addSlot(0, 200, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 3 * PAGE, 1);
    assertEquals(Set.of("0:3"), take(a));
    vcpu.mark(slot, 150 * PAGE, 1);
    SlotChange change = log.change().remove(slot);
    LogSlot low = change.add(0, 70, PAGE);
    LogSlot high = change.add(9, 130, PAGE);
    change.carry(slot, 0, low, 0, 70).carry(slot, 70, high, 0, 130);
    assertEquals(Set.of(), pages(change.commit().get(0)));
    assertSame(low, log.slot(0));
    assertSame(high, log.slot(9));
    assertEquals(Set.of("9:80"), take(a));
    assertEquals(Set.of("0:3", "9:80"), take(b));
    vcpu.mark(low, 69 * PAGE, 1);
    vcpu.mark(high, 129 * PAGE, 1);
    log.mark(high, 5 * PAGE, 1);
    assertEquals(Set.of("0:69", "9:129", "9:5"), take(a));
    assertEquals(Set.of("0:69", "9:129", "9:5"), take(b));
  }

  @Test
  void grow_newPages_areDirtyForAll_theOthersAsTheyWere() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    log.mark(slot, 64 * PAGE, 1);
    SlotChange change = log.change().remove(slot);
    LogSlot grown = change.add(0, 130, PAGE);
    change.carry(slot, 0, grown, 0, 100).commit();
    Set<String> expected = range(0, 100, 130);
    expected.add("0:64");
    assertEquals(expected, take(client));
    assertEquals(Set.of(), take(client));
  }

  @Test
  void bug18_remove_dirtyPagesAreHandedToTheRemover() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogSlot other = log.addSlot(1, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 3 * PAGE, 1);
    take(a); // b has it still
    vcpu.mark(slot, 99 * PAGE, 1);
    log.mark(slot, 50 * PAGE, 1);
    vcpu.mark(other, 7 * PAGE, 1);
    RemovedSlot<LogSlot> removed = log.change().remove(slot).commit().get(0);
    assertSame(slot, removed.slot());
    assertEquals(Set.of("0:3", "0:50", "0:99"), pages(removed));
    assertEquals(Set.of("1:7"), take(a));
    assertThrows(IllegalArgumentException.class, () -> log.slot(0));
    assertThrows(IllegalArgumentException.class, () -> a.takeRange(log.slot(0), 0, 1));
    assertThrows(IllegalArgumentException.class, () -> a.discard(log.slot(0), 0, 1));
  }

  @Test
  void remove_withoutAClient_everyPageIsHandedOver() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    assertEquals(range(0, 0, 100), pages(log.change().remove(slot).commit().get(0)));
  }

  @Test
  void shrink_pagesThatAreCutOff_goToTheRemover() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    log.mark(slot, 10 * PAGE, 1);
    log.mark(slot, 90 * PAGE, 1);
    SlotChange change = log.change().remove(slot);
    LogSlot rest = change.add(0, 65, PAGE);
    RemovedSlot<LogSlot> removed = change.carry(slot, 0, rest, 0, 65).commit().get(0);
    assertEquals(Set.of("0:90"), pages(removed));
    assertEquals(Set.of("0:10"), take(client));
  }

  /** docs/bugs.md row 17: what a vCPU, which has not seen the change yet, marks in the old slot. */
  @Test
  void bug17_marksOfTheOldSlotDuringTheChange_areFoundInTheNew() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    guest.run(vcpu::online);
    SlotChange change = log.change().remove(slot);
    LogSlot to = change.add(4, 90, PAGE);
    change.carry(slot, 10, to, 0, 90);
    List<Set<String>> meanwhile = new ArrayList<>();
    List<Future<?>> loops = new ArrayList<>();
    List<RemovedSlot<LogSlot>> removed =
        change.commit(
            () -> {
              guest.run(() -> vcpu.mark(slot, 11 * PAGE, 1));
              log.mark(slot, 12 * PAGE, 1);
            },
            () -> {
              guest.run(() -> {
                vcpu.mark(slot, 13 * PAGE, 1);
                vcpu.mark(slot, 5 * PAGE, 1);
                vcpu.safepoint();
              });
              log.mark(slot, 14 * PAGE, 1);
              Future<?> polls = guest.begin(() -> poll(vcpu, meanwhile));
              meanwhile.add(take(a));
              GuestThread.end(polls);
              guest.run(() -> vcpu.mark(slot, 20 * PAGE, 1)); // by rights it has dropped the slot
              loops.add(
                  guest.begin(() -> {
                    vcpu.safepoint();
                    vcpu.offline();
                  }));
            });
    loops.forEach(GuestThread::end);
    assertEquals(Set.of("4:1", "4:2", "4:3", "4:4"), meanwhile.get(0));
    assertEquals(Set.of("0:5"), pages(removed.get(0)));
    assertEquals(Set.of("4:10"), take(a));
    assertEquals(Set.of("4:1", "4:2", "4:3", "4:4", "4:10"), take(b));
  }

  private static void poll(LogVcpu vcpu, List<?> until) {
    while (until.isEmpty()) {
      vcpu.safepoint();
      Thread.onSpinWait();
    }
  }

  /** The same, with the look into the old slots left out: their marks are lost. */
  @Test
  void bug17_weakened_withoutTheMerge_marksDuringTheChangeAreLost() {
    Set<TrackedSlot> gone = new HashSet<>();
    DirtyLog weak =
        DirtyLog.builder()
            .interceptTracker(real ->
                new ForwardingTracker(real) {
                  @Override
                  protected void remove(TrackedSlot slot, SlotTracker to) {
                    super.remove(slot, to);
                    gone.add(slot);
                  }

                  @Override
                  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                    if (!gone.contains(slot)) {
                      super.collect(slot, to, sink);
                    }
                  }
                })
            .build();
    LogSlot slot = weak.addSlot(0, 100, PAGE);
    LogVcpu vcpu = weak.addVcpu();
    DirtyClient<LogSlot> client = weak.client("c", InitialView.NONE_DIRTY);
    SlotChange change = weak.change().remove(slot);
    change.carry(slot, 0, change.add(1, 100, PAGE), 0, 100);
    change.commit(() -> vcpu.mark(slot, 11 * PAGE, 1), () -> {});
    assertEquals(Set.of(), take(client), "lost");
  }

  @Test
  void openBatch_givenBackAfterTheChange_isDirtyWhereItsPagesHaveGone() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    for (long page : new long[] {1, 2, 80}) {
      log.mark(slot, page * PAGE, 1);
    }
    DirtyBatch<LogSlot> batch = a.take();
    take(b);
    SlotChange change = log.change().remove(slot);
    LogSlot half = change.add(0, 50, PAGE);
    RemovedSlot<LogSlot> removed = change.carry(slot, 0, half, 0, 50).commit().get(0);
    assertEquals(Set.of(), pages(removed));
    assertEquals(Set.of("0:1", "0:2", "0:80"), pages(batch));
    batch.forEachRun((where, first, count) -> assertSame(slot, where));
    replace(half, 3).commit(); // and once more
    batch.acknowledge(slot, 2, 1);
    batch.close();
    assertEquals(Set.of("0:80"), pages(removed));
    assertEquals(Set.of("3:1"), take(a));
    assertEquals(Set.of(), take(b));
  }

  @Test
  void released_openBatches_calledOnceWhenTheLastIsClosed() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    AtomicInteger released = new AtomicInteger();
    DirtyBatch<LogSlot> first = a.take();
    DirtyBatch<LogSlot> second = b.take();
    log.change().remove(slot, released::incrementAndGet).commit();
    assertEquals(0, released.get());
    first.close();
    b.close(); // its batch stays readable
    assertEquals(0, released.get());
    assertEquals(100, second.pageCount());
    second.close();
    assertEquals(1, released.get());
    first.close();
    LogSlot next = log.addSlot(0, 1, PAGE);
    log.change().remove(next, released::incrementAndGet).commit();
    assertEquals(2, released.get());
  }

  /** All or nothing: the backend fails at every point. */
  @Test
  void changeFailsAtEveryPoint_theOldSlotsAreThere_andNothingIsLost() {
    for (int point = 0; ; point++) {
      TestTracker faulty = new TestTracker();
      DirtyLog under = faulty.log(mode);
      LogVcpu vcpu = under.addVcpu();
      LogSlot slot = under.addSlot(0, 100, PAGE);
      DirtyClient<LogSlot> client = under.client("c", InitialView.NONE_DIRTY);
      vcpu.mark(slot, 7 * PAGE, 1);
      vcpu.offline();
      SlotChange change = under.change().remove(slot);
      LogSlot low = change.add(0, 60, PAGE);
      LogSlot high = change.add(1, 40, PAGE);
      change.carry(slot, 0, low, 0, 60).carry(slot, 60, high, 0, 40);
      faulty.untilFault.set(point);
      try {
        change.commit();
      } catch (TestTracker.Fault e) {
        faulty.untilFault.set(-1);
        if (isSlot(under, slot)) {
          assertThrows(IllegalArgumentException.class, () -> under.slot(1));
          vcpu.mark(slot, 99 * PAGE, 1);
          Set<String> found = take(client);
          assertTrue(found.containsAll(Set.of("0:7", "0:99")), found::toString);
          vcpu.mark(slot, 98 * PAGE, 1);
          assertEquals(Set.of("0:98"), take(client));
        } else { // made, and not retired yet
          vcpu.mark(high, 39 * PAGE, 1);
          Set<String> found = take(client);
          assertTrue(found.containsAll(Set.of("0:7", "1:39")), found::toString);
          assertEquals(1, Peek.leaving(under));
          under.rcu().barrier();
          assertEquals(0, Peek.leaving(under));
        }
        continue;
      }
      assertTrue(point > 8, point + " points");
      return;
    }
  }

  private static boolean isSlot(DirtyLog log, LogSlot slot) {
    return log.slot(slot.id()).equals(slot);
  }
}
