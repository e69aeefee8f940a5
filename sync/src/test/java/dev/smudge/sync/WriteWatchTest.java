package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.internal.software.StoppedTracker;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.util.List;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** What write watches tell, and that pages which are watched are dirty as ever. */
@Timeout(60)
@ParameterizedClass
@EnumSource(Mode.class)
class WriteWatchTest extends WriteWatchCase {
  private static final int PAGES = 200;

  WriteWatchTest(Mode mode) {
    super(mode.builder(), PAGES);
  }

  @AfterEach
  void close() {
    vcpu.close();
    log.close();
  }

  @Test
  void pages_firstWriteSinceArmed_isTold() {
    PageWatch watch = log.watchPages(slot, this::tell);
    vcpu.mark(slot, 5 * PAGE, 4);
    assertTold(); // none is armed

    watch.arm(5 * PAGE + 1, 2);
    vcpu.mark(slot, 4 * PAGE, PAGE); // its neighbours
    vcpu.mark(slot, 6 * PAGE, 4);
    assertTold();
    vcpu.mark(slot, 5 * PAGE + 100, 4);
    assertTold((5 * PAGE + 100) + "+4");
    vcpu.mark(slot, 5 * PAGE, 4);
    vcpu.safepoint();
    vcpu.mark(slot, 5 * PAGE, 4);
    assertTold();

    watch.arm(0, PAGES * (long) PAGE);
    vcpu.mark(slot, 6 * PAGE - 2, 4); // two pages, one write
    assertTold((6 * PAGE - 2) + "+4");
    vcpu.mark(slot, 5 * PAGE, 4);
    vcpu.mark(slot, 6 * PAGE, 4);
    assertTold();
    vcpu.mark(slot, 7 * PAGE, 4);
    assertTold(7 * PAGE + "+4");

    watch.close();
    watch.close();
    vcpu.mark(slot, 8 * PAGE, 4);
    assertTold();
    assertTrue(watch.isEnded());
    assertThrows(IllegalStateException.class, () -> watch.arm(0, 1));
  }

  @Test
  void bytes_everyWriteThatTouchesThem_isTold() {
    vcpu.mark(slot, 0, 4 * PAGE); // marked before
    WriteWatch watch = log.watchBytes(slot, PAGE + 16, 8, this::tell);
    vcpu.mark(slot, PAGE + 12, 4);
    vcpu.mark(slot, PAGE + 24, 4);
    vcpu.mark(slot, 2 * PAGE, 4);
    assertTold();
    vcpu.mark(slot, PAGE + 13, 4);
    vcpu.mark(slot, PAGE + 13, 4);
    vcpu.safepoint();
    vcpu.mark(slot, PAGE + 23, 1);
    vcpu.mark(slot, 0, 4 * PAGE);
    assertTold((PAGE + 13) + "+4", (PAGE + 13) + "+4", (PAGE + 23) + "+1", "0+" + 4 * PAGE);
    watch.close();
    vcpu.mark(slot, PAGE + 16, 8);
    assertTold();
  }

  /** With a client that takes them, and with none. */
  @Test
  void watchedPages_areDirtyAsEver() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    PageWatch pages = log.watchPages(slot, this::tell);
    WriteWatch bytes = log.watchBytes(slot, 64 * PAGE, 8, (at, length) -> {});
    assertEquals(List.of(), take(client));
    pages.arm(3 * PAGE, PAGE);
    for (int round = 0; round < 3; round++) {
      vcpu.mark(slot, 3 * PAGE, 4);
      vcpu.mark(slot, 64 * PAGE, 8);
      vcpu.mark(slot, 65 * PAGE, 8);
      int before = flushes;
      assertEquals(List.of("3+1", "64+2"), take(client), "round " + round);
      assertTrue(flushes > before, "what lets the vCPU skip a mark is dropped");
      assertEquals(List.of(), take(client));
    }
    vcpu.mark(slot, 3 * PAGE, 4);
    pages.arm(3 * PAGE, PAGE);
    pages.close();
    bytes.close();
    assertEquals(List.of("3+1"), take(client), "arming has told it to every client");
    client.close();
    vcpu.mark(slot, 7 * PAGE, 1);
    assertTrue(slot.isMarked(100), "nobody takes and nobody watches: no page is armed");
  }

  /** A page of a watch that has told, and that the vCPU's TLB holds, is dirty after a take. */
  @Test
  void takeOfAWatchedPage_dropsWriteTlbs() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    WriteWatch bytes = log.watchBytes(slot, 0, 8, this::tell);
    vcpu.mark(slot, 8, 1); // into the TLB, though it is not told
    int before = flushes;
    assertEquals(List.of("0+1"), take(client));
    assertEquals(before + 1, flushes);
    assertEquals(List.of(), take(client));
    assertEquals(before + 1, flushes, "nothing was armed");
    bytes.close();
  }

  @Test
  void othersThanVcpus_areTold() {
    PageWatch watch = log.watchPages(slot, this::tell);
    watch.arm(0, PAGE);
    vcpu.offline();
    log.mark(slot, 7, 3);
    assertTold("7+3");
    log.mark(slot, 7, 3);
    assertTold();

    watch.arm(0, PAGE);
    DirtyClient<LogSlot> rewind = log.client("rewind", InitialView.NONE_DIRTY);
    rewind.markForOthers(slot, 9, 3);
    assertTold("9+3");
    rewind.markForOthers(slot, 9, 0);
    assertEquals(List.of(), take(rewind));

    watch.arm(0, PAGE);
    vcpu.online();
    log.mark(slot, 11, 1); // the vCPU's, by the shared slow path
    assertTold("11+1");
    vcpu.mark(slot, PAGES * (long) PAGE, 0);
    log.mark(slot, PAGES * (long) PAGE, 0);
    assertTold();
  }

  @Test
  void listenerThatThrows_theWriteStaysMarked_andThePageArmed() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    RuntimeException mine = new RuntimeException("mine");
    PageWatch bad =
        log.watchPages(
            slot,
            (at, length) -> {
              throw mine;
            });
    PageWatch good = log.watchPages(slot, this::tell);
    bad.arm(PAGE, PAGE);
    good.arm(PAGE, PAGE);
    assertSame(mine, assertThrows(RuntimeException.class, () -> vcpu.mark(slot, PAGE, 1)));
    assertTold(PAGE + "+1");
    assertEquals(List.of("1+1"), take(client));
    assertSame(mine, assertThrows(RuntimeException.class, () -> log.mark(slot, PAGE, 1)));
    assertTold(); // the good one is not armed any more
    bad.close();
    vcpu.mark(slot, PAGE, 1);
    assertEquals(List.of("1+1"), take(client));
  }

  /** It may write to the page, take it, and arm it; then the page is armed when it returns. */
  @Test
  void listener_mayDoWhatItLikes() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    PageWatch[] watch = new PageWatch[1];
    watch[0] =
        log.watchPages(
            slot,
            (at, length) -> {
              tell(at, length);
              vcpu.mark(slot, PAGE + 8, 8);
              assertEquals(List.of("1+1"), take(client));
              if (length == 2) {
                watch[0].arm(PAGE, 1);
              }
            });
    watch[0].arm(PAGE, 1);
    vcpu.mark(slot, PAGE, 2);
    vcpu.mark(slot, PAGE, 1);
    vcpu.mark(slot, PAGE, 1);
    assertTold(PAGE + "+2", PAGE + "+1");
    watch[0].close();
  }

  @Test
  void slotThatGoes_endsItsWatches() {
    LogSlot other = log.addSlot(1, 8, PAGE);
    PageWatch watch = log.watchPages(other, this::tell);
    watch.arm(0, PAGE);
    SlotChange change = log.change();
    change.remove(other);
    vcpu.offline();
    change.commit().forEach(RemovedSlot::close);
    assertTrue(watch.isEnded());
    assertThrows(IllegalStateException.class, () -> watch.arm(0, PAGE));
    assertThrows(IllegalArgumentException.class, () -> log.watchPages(other, this::tell));
    watch.close();
    assertTrue(slot.isMarked(100), "the last watch was closed: no page is armed");
  }

  /** What vCPUs that have not seen the change write to the old slot is told, and carried over. */
  @Test
  void slotThatIsReplaced_tellsUntilTheVcpuHasSeenIt() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    WriteWatch watch = log.watchBytes(slot, 0, 8, this::tell);
    vcpu.online();
    try (GuestThread changer = new GuestThread("changer")) {
      LogSlot[] now = new LogSlot[1];
      Future<?> changed =
          changer.begin(() -> {
            SlotChange change = log.change();
            change.remove(slot);
            now[0] = change.add(0, PAGES, PAGE);
            change.carry(slot, 0, now[0], 0, PAGES);
            change.commit().forEach(RemovedSlot::close);
          });
      GuestThread.await(this::vcpuIsAsked);
      vcpu.mark(slot, 4, 1);
      assertTold("4+1");
      while (!changed.isDone()) {
        vcpu.safepoint();
      }
      assertEquals(List.of("0+1"), take(client));
      assertTrue(watch.isEnded());
      watch.close();
    }
  }

  @Test
  void closedLog_endsWatches() {
    PageWatch watch = log.watchPages(slot, this::tell);
    watch.arm(0, PAGE);
    vcpu.offline();
    log.close();
    assertTrue(watch.isEnded());
    assertThrows(IllegalStateException.class, () -> watch.arm(0, PAGE));
    watch.close();
    assertThrows(IllegalStateException.class, () -> log.watchPages(slot, this::tell));
  }

  @Test
  void wrongUse_isRefused_andNothingIsWatched() {
    PageWatch watch = log.watchPages(slot, this::tell);
    for (long[] range : new long[][] {{-1, 1}, {0, -1}, {PAGES * (long) PAGE, 1}}) {
      assertThrows(IndexOutOfBoundsException.class, () -> watch.arm(range[0], range[1]));
      assertThrows(
          IndexOutOfBoundsException.class,
          () -> log.watchBytes(slot, range[0], range[1], this::tell));
    }
    watch.arm(0, 0);
    assertThrows(IllegalArgumentException.class, () -> log.watchBytes(slot, 0, 0, this::tell));
    vcpu.mark(slot, 0, PAGES * (long) PAGE);
    assertTold();
    assertTrue(slot.isMarked(100));
    watch.close();
    try (DirtyLog other = DirtyLog.create()) {
      LogSlot foreign = other.addSlot(0, 1, PAGE);
      assertThrows(IllegalArgumentException.class, () -> log.watchPages(foreign, this::tell));
    }
  }

  @Test
  void stoppedLog_tells() {
    try (DirtyLog stopped = DirtyLog.builder().buildStopped()) {
      LogSlot of = stopped.addSlot(0, 8, 256);
      DirtyClient<LogSlot> client = stopped.client("c", InitialView.NONE_DIRTY);
      PageWatch pages = stopped.watchPages(of, this::tell);
      stopped.watchBytes(of, 256, 1, this::tell);
      pages.arm(0, 1);
      stopped.mark(of, 0, 1);
      stopped.mark(of, 0, 1);
      stopped.mark(of, 256, 1);
      stopped.mark(of, 256, 1);
      stopped.mark(of, 257, 1);
      assertTold("0+1", "256+1", "256+1");
      assertEquals(List.of("0+2"), take(client));
      assertEquals(List.of(), take(client));
    }
  }

  @Test
  void trackerWithoutMarks_isRefused_withTheReason() {
    Tracker other = new TestTracker().over(new StoppedTracker());
    try (DirtyLog found = DirtyLog.builder().tracker(other).build()) {
      LogSlot of = found.addSlot(0, 8, PAGE);
      String why =
          assertThrows(UnsupportedOperationException.class, () -> found.watchPages(of, this::tell))
              .toString();
      assertTrue(why.contains("take the pages with a client"), why);
      assertThrows(
          UnsupportedOperationException.class, () -> found.watchBytes(of, 0, 1, this::tell));
    }
  }

  @Test
  void markedLogVcpu_closed_isToldAsAnother() {
    PageWatch watch = log.watchPages(slot, this::tell);
    watch.arm(0, PAGE);
    LogVcpu gone = log.addVcpu();
    gone.close();
    assertThrows(VcpuException.class, () -> gone.mark(slot, 0, 1));
    assertTold("0+1");
    assertFalse(slot.isMarked(0));
    watch.close();
  }
}
