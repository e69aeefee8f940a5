package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.verify.UnreportedWriteException;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Write watches beside what ends, fails or is closed: clients, slots, logs, other watches. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class WriteWatchEndsTest extends WriteWatchCase {
  private static final int PAGES = 1000;

  private final Mode mode;

  WriteWatchEndsTest(Mode mode) {
    super(mode.builder(), PAGES);
    this.mode = mode;
  }

  /** A change that fails leaves the slot as it was, and watched. */
  @Test
  void slotChangeThatFails_leavesTheSlotWatched() {
    PageWatch pages = log.watchPages(slot, this::tell);
    WriteWatch bytes = log.watchBytes(slot, 64 * PAGE, 8, this::tell);
    int points = 0;
    for (boolean made = false; !made; points++) {
      pages.arm(5 * PAGE, PAGE);
      vcpu.offline();
      SlotChange change = log.change().remove(slot);
      change.add(0, PAGES, PAGE);
      tracker.untilFault.set(points);
      try {
        change.commit();
      } catch (TestTracker.Fault e) {
        assertNotNull(e);
      }
      made = log.slot(0) != slot;
      if (!made) {
        vcpu.mark(slot, 5 * PAGE, 4);
        vcpu.mark(slot, 64 * PAGE, 4);
        vcpu.mark(slot, 64 * PAGE, 4);
        assertTold(5 * PAGE + "+4", 64 * PAGE + "+4", 64 * PAGE + "+4");
      }
    }
    tracker.untilFault.set(-1);
    assertTrue(points > 5);
    assertTrue(pages.isEnded());
    pages.close();
    bytes.close();
  }

  /** A watch takes nothing: where no client is left, nobody makes room in a ring. */
  @Test
  void lastClientCloses_vcpuDoesNotWaitForItsRing() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    PageWatch watch = log.watchPages(slot, this::tell);
    watch.arm(0, PAGE);
    take(client);
    client.close();
    for (int page = 1; page < PAGES; page++) {
      vcpu.mark(slot, (long) page * PAGE, 1);
      vcpu.safepoint();
    }
    assertEquals(List.of(), reported);
    watch.arm(0, PAGE);
    vcpu.mark(slot, 0, 1);
    assertTold("0+1");
    watch.close();
  }

  @Test
  void firstClientStartsBesideAWatch_itsPagesAreFound_andItsLimitHolds() {
    WriteWatch watch = log.watchBytes(slot, 0, 8, this::tell);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 0, 1);
    vcpu.mark(slot, 7 * PAGE, 1);
    assertEquals(List.of("0+1", "7+1"), take(client));
    watch.close();
    vcpu.mark(slot, 0, 1);
    assertEquals(List.of("0+1"), take(client));
    client.close();
  }

  /** "everything, if there was none": whatever was watched. */
  @Test
  void slotThatIsRemoved_withoutAClient_allOfItIsDirty() {
    LogSlot other = log.addSlot(1, 8, PAGE);
    vcpu.mark(other, 3 * PAGE, 1);
    PageWatch watch = log.watchPages(other, this::tell);
    watch.arm(3 * PAGE, PAGE);
    vcpu.offline();
    SlotChange change = log.change().remove(other);
    try (RemovedSlot<LogSlot> removed = change.commit().get(0)) {
      assertEquals(8, removed.dirtyPages());
    }
    watch.close();
  }

  /** What is dirty for a watch is dirty for nobody. */
  @Test
  void slotThatIsRemoved_withAClient_whatThatHadNotTakenIsDirty() {
    LogSlot other = log.addSlot(1, 8, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    PageWatch watch = log.watchPages(other, this::tell);
    watch.arm(3 * PAGE, PAGE);
    vcpu.mark(other, 3 * PAGE, 1);
    vcpu.mark(other, 5 * PAGE, 1);
    vcpu.offline();
    SlotChange change = log.change().remove(other);
    List<String> runs = new ArrayList<>();
    try (RemovedSlot<LogSlot> removed = change.commit().get(0)) {
      removed.forEachRun((in, first, count) -> runs.add(first + "+" + count));
    }
    assertEquals(List.of("3+1", "5+1"), runs);
    watch.close();
    client.close();
  }

  @Test
  void slotThatIsReplaced_besideAWatch_isTrackedAsEver() {
    WriteWatch watch = log.watchBytes(slot, 0, 8, this::tell);
    vcpu.offline();
    SlotChange change = log.change().remove(slot);
    LogSlot now = change.add(0, PAGES, PAGE);
    change.carry(slot, 0, now, 0, PAGES).commit();
    assertTrue(watch.isEnded());
    PageWatch next = log.watchPages(now, this::tell);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    next.arm(0, PAGE);
    vcpu.mark(now, 0, 1);
    vcpu.mark(now, 9 * PAGE, 1);
    assertTold("0+1");
    assertEquals(List.of("0+1", "9+1"), take(client));
    watch.close();
    next.close();
    client.close();
  }

  @Test
  void closedLog_refusesWatches_alsoWhereOneIsOpen() {
    PageWatch watch = log.watchPages(slot, this::tell);
    vcpu.offline();
    log.close();
    assertThrows(IllegalStateException.class, () -> log.watchPages(slot, this::tell));
    assertThrows(IllegalStateException.class, () -> log.watchBytes(slot, 0, 8, this::tell));
    watch.close();
  }

  /** The arming thread waits for a vCPU meanwhile. */
  @Test
  void watchThatIsClosedWhileItArms_saysSo() {
    try (GuestThread translator = new GuestThread("translator")) {
      PageWatch watch = log.watchPages(slot, this::tell);
      vcpu.online();
      vcpu.safepoint();
      Future<?> arm = translator.begin(() -> watch.arm(0, 1));
      GuestThread.await(() -> vcpu.state().isAsked());
      watch.close();
      vcpu.offline();
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> GuestThread.end(arm));
      assertEquals(IllegalStateException.class, e.getClass(), String.valueOf(e));
    }
  }

  @Test
  void slotThatIsRemovedWhileAWatchArms_saysSo() {
    LogSlot other = log.addSlot(1, 8, PAGE);
    try (GuestThread translator = new GuestThread("translator");
        GuestThread changer = new GuestThread("changer")) {
      PageWatch watch = log.watchPages(other, this::tell);
      vcpu.online();
      vcpu.safepoint();
      Future<?> arm = translator.begin(() -> watch.arm(0, 1));
      GuestThread.await(() -> vcpu.state().isAsked());
      Future<?> change =
          changer.begin(() -> log.change().remove(other).commit().forEach(RemovedSlot::close));
      GuestThread.await(watch::isEnded);
      vcpu.offline();
      assertThrows(IllegalStateException.class, () -> GuestThread.end(arm));
      GuestThread.end(change);
      watch.close();
    }
  }

  /** In the verify mode the last client looks once more, also beside a watch. */
  @Test
  void lastClientOfALogThatVerifies_looksOnceMore() {
    byte[] ram = new byte[8 * 64];
    try (DirtyLog verifying =
        mode.builder()
            .verify((of, page, into) -> System.arraycopy(ram, (int) page * 64, into, 0, 64))
            .build()) {
      LogSlot of = verifying.addSlot(0, 8, 64);
      PageWatch watch = verifying.watchPages(of, this::tell);
      DirtyClient<LogSlot> client = verifying.client("c", InitialView.NONE_DIRTY);
      take(client);
      ram[5 * 64] = 1;
      UnreportedWriteException e = assertThrows(UnreportedWriteException.class, client::close);
      assertEquals(5, e.pageIndex());
      watch.close();
    }
  }

  /** What no compiler lets a listener throw, other languages do. */
  @Test
  void listenerThatThrowsACheckedException_othersAreTold() {
    PageWatch bad =
        log.watchPages(slot, (at, length) -> WriteWatchEndsTest.<RuntimeException>sneak());
    PageWatch good = log.watchPages(slot, this::tell);
    bad.arm(0, 1);
    good.arm(0, 1);
    assertThrows(Exception.class, () -> vcpu.mark(slot, 0, 1));
    assertTold("0+1");
    bad.close();
    good.close();
  }

  @SuppressWarnings("unchecked")
  private static <E extends Exception> void sneak() throws E {
    throw (E) new Exception("checked");
  }

  /**
   * Whatever a listener does to its vCPU and its watch, the write is dirty, and the page watched.
   */
  @Test
  void listenerThatEndsThings_theWriteIsDirty() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogVcpu other = log.addVcpu();
    PageWatch[] watch = new PageWatch[2];
    watch[0] =
        log.watchPages(
            slot,
            (at, length) -> {
              other.close();
              watch[0].close();
              watch[1] = log.watchPages(slot, this::tell);
              watch[1].arm(at, length);
            });
    watch[0].arm(0, 1);
    other.mark(slot, 0, 1);
    assertEquals(List.of("0+1"), take(client));
    vcpu.mark(slot, 0, 2);
    assertTold("0+2");
    assertEquals(List.of("0+1"), take(client));
    watch[1].close();
    client.close();
    assertTrue(slot.isMarked(0));
  }

  @Test
  void listenerThatGoesOffline_theWriteIsDirty() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    PageWatch watch = log.watchPages(slot, (at, length) -> vcpu.offline());
    watch.arm(0, 1);
    vcpu.mark(slot, 0, 1);
    assertFalse(vcpu.isOnlineHere());
    assertEquals(List.of("0+1"), take(client));
    vcpu.mark(slot, 0, 1);
    assertEquals(List.of("0+1"), take(client));
    watch.close();
  }

  /** Nothing is left of watches that were closed. */
  @Test
  void manyWatches_leaveNothing() {
    for (int i = 0; i < 20_000; i++) {
      PageWatch watch = log.watchPages(slot, this::tell);
      watch.arm(0, 1);
      vcpu.mark(slot, 0, 1);
      watch.close();
    }
    assertEquals(20_000, told.size());
    assertEquals(20_000, tracker.count("stop"));
    assertTrue(slot.isMarked(0));
  }
}
