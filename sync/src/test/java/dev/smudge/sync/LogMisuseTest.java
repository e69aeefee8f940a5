package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Calls of a log and of its clients that are refused, and change nothing. */
@ParameterizedClass
@EnumSource(Mode.class)
class LogMisuseTest {
  private static final int PAGE = 4096;
  private final TestTracker backend = new TestTracker();
  private final DirtyLog log;

  LogMisuseTest(Mode mode) {
    log = backend.log(mode);
  }

  @Test
  void takeRange_outsideOrUnknown_throwsAndTakesNothing() {
    log.addSlot(3, 65, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    long[][] bad = {
      {-1, 1},
      {0, 66},
      {65, 1},
      {66, 0},
      {0, -1},
      {1, Long.MAX_VALUE},
      {Long.MIN_VALUE, 0},
      {1L << 32, 1},
      {Long.MAX_VALUE, Long.MAX_VALUE}
    };
    LogSlot foreign = DirtyLog.create().addSlot(3, 65, PAGE);
    LogSlot removed = log.addSlot(9, 65, PAGE);
    log.change().remove(removed).commit();
    for (long[] range : bad) {
      assertThrows(
          IndexOutOfBoundsException.class, () -> client.takeRange(log.slot(3), range[0], range[1]));
      assertThrows(
          IndexOutOfBoundsException.class, () -> client.discard(log.slot(3), range[0], range[1]));
    }
    assertThrows(IllegalArgumentException.class, () -> client.takeRange(foreign, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> client.takeRange(removed, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> client.discard(foreign, 0, 1));
    assertEquals(65, client.dirtyPages());
    try (DirtyBatch<LogSlot> batch = client.takeRange(log.slot(3), 64, 1)) {
      assertEquals(Set.of(64L), Dirty.pages(batch, 3));
      batch.commit();
    }
    try (DirtyBatch<LogSlot> batch = client.takeRange(log.slot(3), 65, 0)) {
      assertEquals(0, batch.pageCount());
    }
    assertEquals(64, client.dirtyPages());
  }

  @Test
  void take_batchOpenStill_throwsAndTakesNothing() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    DirtyBatch<LogSlot> batch = client.takeAtMost(40);
    IllegalStateException e = assertThrows(IllegalStateException.class, client::take);
    assertTrue(String.valueOf(e.getMessage()).contains("40"), e.getMessage());
    assertEquals(60, client.dirtyPages());
    batch.close();
    batch.close();
    assertEquals(100, client.dirtyPages());
    assertEquals(0, batch.pageCount(), "closed: it holds nothing");
    assertThrows(IllegalStateException.class, batch::commit);
    assertThrows(IllegalStateException.class, () -> batch.acknowledge(log.slot(0), 0, 1));
    assertThrows(IllegalStateException.class, () -> batch.forEachRun((s, f, c) -> {}));
    assertEquals(100, Dirty.take(client).size());
  }

  @Test
  void mark_everyEdge_throwsOrMarksExactly() {
    long pages = 65;
    LogSlot slot = log.addSlot(0, pages, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    long size = pages * PAGE;
    Set<Long> values = new TreeSet<>();
    for (long center : new long[] {0, PAGE, size, 1L << 31, 1L << 32, Long.MIN_VALUE, -size}) {
      values.addAll(Dirty.range(center - 2, center + 3));
      values.add(center + Long.MAX_VALUE);
    }
    for (long offset : values) {
      for (long length : values) {
        boolean inside = offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
        for (int way = 0; way < 2; way++) {
          Runnable mark =
              way == 0
                  ? () -> vcpu.mark(slot, offset, length)
                  : () -> log.mark(log.slot(0), offset, length);
          if (inside) {
            mark.run();
            Set<Long> expected =
                length == 0
                    ? Set.of()
                    : Dirty.range(offset / PAGE, (offset + length - 1) / PAGE + 1);
            assertEquals(expected, Dirty.take(client), offset + ", " + length);
          } else {
            assertThrows(IndexOutOfBoundsException.class, mark::run, () -> offset + ", " + length);
          }
        }
      }
    }
    assertEquals(Set.of(), Dirty.take(client));
    DirtyLog another = DirtyLog.create();
    LogSlot foreign = another.addSlot(0, 65, PAGE);
    another.client("c", InitialView.NONE_DIRTY); // a page that is marked already needs no look
    assertThrows(IllegalArgumentException.class, () -> vcpu.mark(foreign, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> log.mark(foreign, 0, 1));
  }

  @Test
  void addSlot_badValues_throwsAndChangesNothing() {
    log.addSlot(0, 10, PAGE);
    backend.calls.clear();
    assertThrows(IllegalArgumentException.class, () -> log.addSlot(0, 10, PAGE));
    assertThrows(IllegalArgumentException.class, () -> log.addSlot(-1, 10, PAGE));
    assertThrows(IllegalArgumentException.class, () -> log.addSlot(1, 0, PAGE));
    assertThrows(IllegalArgumentException.class, () -> log.addSlot(1, -1, PAGE));
    assertThrows(IllegalArgumentException.class, () -> log.addSlot(1, Long.MAX_VALUE, PAGE));
    for (long size : new long[] {0, -1, 3, 4095, 1L << 31, Long.MIN_VALUE}) {
      assertThrows(IllegalArgumentException.class, () -> log.addSlot(1, 10, size));
    }
    assertThrows(IllegalArgumentException.class, () -> log.slot(1));
    assertEquals(List.of(), backend.calls);
  }

  @Test
  void closedLog_everyCollectorCall_throws() {
    log.addSlot(0, 10, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    log.close();
    log.close();
    assertThrows(IllegalStateException.class, log::sync);
    assertThrows(IllegalStateException.class, log::seal);
    assertThrows(IllegalStateException.class, log::addVcpu);
    assertThrows(IllegalStateException.class, () -> log.addSlot(1, 10, PAGE));
    assertThrows(IllegalStateException.class, () -> log.client("d", InitialView.ALL_DIRTY));
    assertThrows(IllegalStateException.class, client::take);
    assertThrows(IllegalStateException.class, () -> client.takeRange(log.slot(0), 0, 1));
    assertThrows(IllegalStateException.class, client::takeSynced);
    assertThrows(IllegalStateException.class, () -> client.discard(log.slot(0), 0, 1));
  }

  /** Two logs over one tracker: what one collects and clears is in no take of the other. */
  @Test
  void build_optionsWhoseTrackerALogHas_isRefused() {
    SlotTracker none = new SlotTracker() {};
    DirtyLogBuilder options = DirtyLog.builder().tracker(slot -> none);
    try (DirtyLog first = options.build()) {
      IllegalStateException e = assertThrows(IllegalStateException.class, options::build);
      assertTrue(String.valueOf(e.getMessage()).contains("of a log already"), e.getMessage());
      first.addSlot(0, 1, PAGE);
      options.tracker(slot -> none).build().close();
    }
    DirtyLogBuilder verified = DirtyLog.builder().verifyWith(slot -> none);
    verified.build().close();
    assertThrows(IllegalStateException.class, verified::build);
    assertThrows(IllegalStateException.class, verified::buildStopped);
    DirtyLogBuilder without = DirtyLog.builder();
    without.build().close();
    without.build().close();
  }

  /** Each would take what the other has to find, and close it. */
  @Test
  void build_trackerOfALogOfOtherOptions_isRefused() {
    SlotTracker none = new SlotTracker() {};
    Tracker tracker = slot -> none;
    DirtyLogBuilder without = DirtyLog.builder().interceptTracker(own -> null);
    assertThrows(NullPointerException.class, () -> without.tracker(tracker).build());
    DirtyLog.builder().tracker(tracker).build().close(); // no log has had it
    Tracker oracle = slot -> none;
    DirtyLog.builder().verifyWith(oracle).build().close();
    for (DirtyLogBuilder other :
        List.of(DirtyLog.builder().verifyWith(oracle), DirtyLog.builder().tracker(oracle))) {
      IllegalStateException e = assertThrows(IllegalStateException.class, other::build);
      assertTrue(String.valueOf(e.getMessage()).contains("of a log already"), e.getMessage());
    }
  }

  /** One object for all that evaluate it, in which two logs share nothing. */
  @Test
  void build_trackerIsALambdaThatCapturesNothing_isThatOfSeveralLogs() {
    for (int i = 0; i < 2; i++) {
      DirtyLog.builder().tracker(lambda()).build();
      log.addTracker(0, lambda());
    }
    assertSame(lambda(), lambda());
  }

  private static Tracker lambda() {
    return slot -> new SlotTracker() {};
  }

  /** What one of them clears, the other misses; and the end of one is that of both. */
  @Test
  void addTracker_trackerOfAnotherDevice_isRefused() {
    SlotTracker none = new SlotTracker() {};
    Tracker tracker = slot -> none;
    Registration device = log.addTracker(0, tracker);
    assertThrows(IllegalArgumentException.class, () -> log.addTracker(1, tracker));
    device.close();
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> log.addTracker(1, tracker));
    assertTrue(String.valueOf(e.getMessage()).contains("has not left yet"), e.getMessage());
    log.rcu().barrier();
    log.addTracker(1, tracker).close();
  }

  @Test
  void addSlot_trackerHasNoPartForIt_isRefusedAndTheLogGoesOn() {
    List<SlotTracker> parts = new ArrayList<>();
    DirtyLog other = DirtyLog.builder().tracker(slot -> parts.get(0)).build();
    parts.add(null);
    IllegalStateException e =
        assertThrows(IllegalStateException.class, () -> other.addSlot(0, 10, PAGE));
    assertTrue(String.valueOf(e.getMessage()).contains("returned null"), e.getMessage());
    parts.set(0, new SlotTracker() {});
    LogSlot slot = other.addSlot(0, 10, PAGE);
    DirtyClient<LogSlot> client = other.client("c", InitialView.NONE_DIRTY);
    other.mark(slot, PAGE, 1);
    assertEquals(Set.of(1L), Dirty.take(client));
    other.close();
  }

  /** It would change sets that the lock is for. */
  @Test
  void collect_itsSinkIsUsedAfterTheCall_isRefused() {
    List<PageWordConsumer> sinks = new ArrayList<>();
    SlotTracker part =
        new SlotTracker() {
          @Override
          public void collect(PageWordConsumer sink) {
            sinks.add(sink);
          }
        };
    DirtyLog other = DirtyLog.builder().tracker(slot -> part).build();
    other.addSlot(0, 10, PAGE);
    DirtyClient<LogSlot> client = other.client("c", InitialView.NONE_DIRTY);
    other.sync();
    assertThrows(IllegalStateException.class, () -> sinks.get(0).accept(0, 1));
    assertEquals(Set.of(), Dirty.take(client));
    other.close();
  }
}
