package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.internal.collect.Peek;
import dev.smudge.sync.internal.collect.SlotLimits;
import dev.smudge.sync.rcu.RcuException;
import dev.smudge.sync.rcu.RcuTimeoutException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Slots that come and go: what becomes of their dirty pages. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SlotChangeTest {
  private static final int PAGE = 4096;
  private static final Runnable NOTHING = new Nothing();

  private final TestTracker backend = new TestTracker();
  private final Mode mode;
  private final DirtyLog log;
  private final GuestThread guest = new GuestThread("guest");

  private static final class Nothing implements Runnable {
    @Override
    public void run() {}
  }

  SlotChangeTest(Mode mode) {
    this.mode = mode;
    this.log =
        mode.builder()
            .interceptTracker(backend::over)
            .timeout(Duration.ofMillis(400))
            .errorHandler(e -> {})
            .build();
  }

  @AfterEach
  void end() {
    guest.close();
  }

  /** "slot:page" of what is dirty. */
  private static Set<String> take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      Set<String> pages = pages(batch);
      batch.commit();
      return pages;
    }
  }

  private static Set<String> pages(DirtyBatch<LogSlot> batch) {
    Set<String> pages = new TreeSet<>();
    batch.forEachRun((slot, first, count) -> add(pages, slot, first, count));
    return pages;
  }

  private static Set<String> pages(RemovedSlot<LogSlot> removed) {
    Set<String> pages = new TreeSet<>();
    removed.forEachRun((slot, first, count) -> add(pages, slot, first, count));
    assertEquals(pages.size(), removed.dirtyPages());
    return pages;
  }

  private static void add(Set<String> pages, LogSlot slot, long first, long count) {
    for (long page = first; page < first + count; page++) {
      assertTrue(pages.add(slot.id() + ":" + page));
    }
  }

  private static Set<String> range(int slot, long first, long end) {
    Set<String> pages = new TreeSet<>();
    for (long page = first; page < end; page++) {
      pages.add(slot + ":" + page);
    }
    return pages;
  }

  /** A change that replaces a slot by one of the same memory. */
  private SlotChange replace(LogSlot slot, int newId) {
    SlotChange change = log.change().remove(slot);
    LogSlot to = change.add(newId, slot.pageCount(), PAGE);
    return change.carry(slot, 0, to, 0, slot.pageCount());
  }

  /** Who holds a slot that was changed meanwhile does not reach the one that has its number now. */
  @Test
  void discardAndTakeRange_slotWhoseNumberAnotherHas_areRefusedAndTakeNothing() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("a", InitialView.NONE_DIRTY);
    replace(slot, 0).commit();
    vcpu.mark(log.slot(0), 3 * PAGE, 1);
    vcpu.offline();
    assertTrue(refusal(() -> client.discard(slot, 0, 100)).contains("removed or changed"));
    assertTrue(refusal(() -> client.takeRange(slot, 0, 100)).contains("removed or changed"));
    assertEquals(Set.of("0:3"), take(client));
    vcpu.mark(log.slot(0), 4 * PAGE, 1);
    vcpu.offline();
    client.discard(log.slot(0), 4, 1);
    assertEquals(Set.of(), take(client));
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

  @Test
  void marksAfterTheChange_areRefused_theyAreNotLostInSilence() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    LogSlot unborn = log.change().add(1, 10, PAGE);
    assertTrue(refusal(() -> vcpu.mark(unborn, 0, 1)).contains("not added yet"));
    assertTrue(refusal(() -> log.mark(unborn, 0, 1)).contains("not added yet"));
    vcpu.mark(slot, 0, 1);
    log.change().remove(slot).commit();
    assertTrue(refusal(() -> vcpu.mark(slot, 0, 1)).contains("was removed"));
    assertTrue(refusal(() -> log.mark(slot, 0, 1)).contains("was removed"));
    assertTrue(refusal(() -> vcpu.mark(log.slot(0), 0, 1)).contains("no slot 0"));
    assertFalse(slot.isMarked(0));
    DirtyLog foreign = DirtyLog.create();
    LogSlot other = foreign.addSlot(0, 10, PAGE);
    assertTrue(refusal(() -> log.mark(other, 0, 1)).contains("not of this log"));
    assertEquals(0, client.dirtyPages());
  }

  private static String refusal(Runnable call) {
    return String.valueOf(assertThrows(IllegalArgumentException.class, call::run).getMessage());
  }

  @Test
  void attach_beforeTheCommitOnly() {
    SlotChange change = log.change();
    LogSlot slot = change.add(0, 10, PAGE);
    slot.slot.attach("ram");
    change.commit();
    assertEquals("ram", log.slot(0).slot.attachment());
    assertThrows(IllegalStateException.class, () -> slot.slot.attach("other"));
    assertEquals("ram", slot.slot.attachment());
  }

  @Test
  void badChanges_areRefused_andNothingIsChanged() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogSlot other = log.addSlot(1, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(slot);
    LogSlot to = change.add(2, 50, PAGE);
    assertThrows(IllegalArgumentException.class, () -> change.remove(slot));
    assertThrows(IllegalArgumentException.class, () -> change.remove(to));
    assertThrows(IllegalArgumentException.class, () -> change.carry(other, 0, to, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> change.carry(slot, 0, other, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 0, to, 0, 51));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 99, to, 0, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, -1, to, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 0, to, 0, -1));
    assertThrows(IllegalArgumentException.class, () -> change.add(-1, 1, PAGE));
    assertThrows(IllegalArgumentException.class, () -> change.add(SlotLimits.MAX_SLOTS, 1, PAGE));
    assertThrows(IllegalArgumentException.class, () -> change.add(3, 0, PAGE));
    LogSlot small = change.add(5, 10, 256);
    assertThrows(IllegalArgumentException.class, () -> change.carry(slot, 0, small, 0, 1));
    SlotChange twice = log.change();
    twice.add(4, 1, PAGE);
    twice.add(4, 2, PAGE);
    assertThrows(IllegalArgumentException.class, twice::commit);
    SlotChange taken = log.change();
    taken.add(1, 1, PAGE);
    assertThrows(IllegalArgumentException.class, taken::commit);
    SlotChange late = log.change().remove(other);
    log.change().remove(other).commit();
    assertThrows(IllegalArgumentException.class, late::commit);
    assertThrows(IllegalArgumentException.class, () -> log.change().remove(other));
    log.mark(slot, 0, 1);
    assertEquals(Set.of("0:0"), take(client));
    change.commit();
    assertThrows(IllegalStateException.class, change::commit);
    assertThrows(IllegalStateException.class, () -> change.add(9, 1, PAGE));
    assertEquals(60, take(client).size());
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

  @Test
  void vcpuDoesNotPassASafepoint_changeIsMadeAndReleasedLater() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    AtomicInteger released = new AtomicInteger();
    guest.run(vcpu::online);
    SlotChange change = log.change().remove(slot, released::incrementAndGet);
    LogSlot to = change.add(1, 100, PAGE);
    change.carry(slot, 0, to, 0, 100);
    assertThrows(RcuTimeoutException.class, change::commit);
    guest.run(() -> vcpu.mark(slot, 5 * PAGE, 1)); // it knows of nothing yet
    log.sync();
    assertEquals(1, client.dirtyPages());
    assertEquals(0, released.get());
    guest.run(() -> vcpu.mark(slot, 6 * PAGE, 1));
    guest.run(vcpu::offline);
    log.rcu().barrier();
    assertEquals(1, released.get());
    assertEquals(Set.of("1:5", "1:6"), take(client));
    assertThrows(IllegalArgumentException.class, () -> vcpu.mark(slot, 0, 1));
  }

  @Test
  void commit_whereItWouldWaitForItself_isRefusedAtOnce() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    SlotChange change = log.change().remove(slot);
    log.rcu().enter();
    assertThrows(RcuException.class, change::commit);
    log.change().commit(); // removes nothing, so it waits for nobody
    log.rcu().exit();
    List<RuntimeException> thrown = new ArrayList<>();
    LogVcpu vcpu =
        log.addVcpu(() -> {
          try {
            change.commit();
          } catch (RuntimeException e) {
            thrown.add(e);
          }
        });
    vcpu.online();
    log.client("c", InitialView.ALL_DIRTY).take().close();
    vcpu.safepoint();
    assertEquals(RcuException.class, thrown.get(0).getClass());
    assertSame(slot, log.slot(0));
    vcpu.offline();
    change.commit();
  }

  @ParameterizedTest
  @EnumSource(InitialView.class)
  void twoVcpus_changeAtOnceWhileAClientStarts_bothFinish(InitialView initial) throws Exception {
    try (GuestThread second = new GuestThread("second")) {
      LogSlot[] slots = {log.addSlot(0, 100, PAGE), log.addSlot(1, 100, PAGE)};
      CountDownLatch start = new CountDownLatch(3);
      Consumer<Integer> changer =
          index -> {
            try (LogVcpu vcpu = log.addVcpu()) {
              vcpu.online();
              start.countDown();
              LogSlot slot = slots[index];
              for (int i = 0; i < 50; i++) {
                vcpu.mark(slot, (long) i * PAGE, 1);
                int newId = index + 2 * (i + 1);
                replace(slot, newId).commit();
                slot = log.slot(newId);
              }
              slots[index] = slot;
            }
          };
      Future<?> one = guest.begin(() -> changer.accept(0));
      Future<?> two = second.begin(() -> changer.accept(1));
      start.countDown();
      start.await();
      try (DirtyClient<LogSlot> client = log.client("c", initial)) {
        for (int i = 0; i < 20; i++) {
          client.take().close();
        }
        GuestThread.end(one);
        GuestThread.end(two);
        take(client);
        log.mark(slots[0], 0, 1);
        log.mark(slots[1], 1, 1);
        assertEquals(Set.of(slots[0].id() + ":0", slots[1].id() + ":0"), take(client));
      }
    }
  }

  @Test
  void createStopped_changes_needNoVcpu() {
    DirtyLog stopped = DirtyLog.createStopped();
    LogSlot slot = stopped.addSlot(0, 100, 1);
    DirtyClient<LogSlot> client = stopped.client("c", InitialView.NONE_DIRTY);
    stopped.mark(slot, 7, 1);
    SlotChange change = stopped.change().remove(slot);
    LogSlot to = change.add(0, 50, 1);
    change.carry(slot, 5, to, 0, 50).commit(NOTHING, NOTHING);
    assertEquals(Set.of("0:2"), take(client));
    stopped.mark(to, 49, 1);
    assertEquals(Set.of("0:49"), take(client));
  }
}
