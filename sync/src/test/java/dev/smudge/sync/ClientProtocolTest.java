package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.collect.SlotLimits;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Clients, their views and batches; everything on one thread, which is the vCPU's too. */
@ParameterizedClass
@EnumSource(Mode.class)
class ClientProtocolTest {
  private static final int PAGE = 4096;

  private final TestTracker backend = new TestTracker();
  private final Mode mode;
  private final DirtyLog log;

  ClientProtocolTest(Mode mode) {
    this.mode = mode;
    this.log = backend.log(mode);
  }

  /** What a fetch asks of the backend, and then others. */
  private List<String> fetchThen(String... calls) {
    List<String> all = new ArrayList<>();
    if (mode.hasRings()) {
      all.add("reapRings");
    }
    all.add("collect 0");
    all.addAll(List.of(calls));
    return all;
  }

  static Set<Long> pages(DirtyBatch<LogSlot> batch, int slotId) {
    Set<Long> pages = new TreeSet<>();
    batch.forEachRun((slot, first, count) -> {
      for (long p = first; slot.id() == slotId && p < first + count; p++) {
        assertTrue(pages.add(p), "twice: page " + p);
      }
    });
    return pages;
  }

  private static Set<Long> take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      Set<Long> pages = pages(batch, 0);
      batch.commit();
      return pages;
    }
  }

  private static Set<Long> range(long first, long end) {
    Set<Long> pages = new TreeSet<>();
    for (long p = first; p < end; p++) {
      pages.add(p);
    }
    return pages;
  }

  @Test
  void bug03_doubleClear_twoClients_newWriteIsSeenByBoth() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 7 * PAGE, 1);
    log.sync();
    assertEquals(Set.of(7L), take(a));
    vcpu.mark(slot, 7 * PAGE, 1); // the second version
    try (DirtyBatch<LogSlot> batch = b.takeSynced()) { // by its old copy of the bit
      assertEquals(Set.of(7L), pages(batch, 0));
      batch.commit();
    }
    assertEquals(Set.of(7L), take(a), "the second version");
    vcpu.mark(slot, 7 * PAGE, 1);
    assertEquals(Set.of(7L), take(b), "the third version");
    assertEquals(Set.of(7L), take(a));
  }

  @Test
  void bug04_takeOfFivePages_wordOf64Dirty_othersStayDirtyForAll() {
    LogSlot slot = log.addSlot(0, 200, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 64 * PAGE, 64 * PAGE);
    backend.calls.clear();
    try (DirtyBatch<LogSlot> batch = a.takeRange(log.slot(0), 69, 5)) {
      assertEquals(range(69, 74), pages(batch, 0));
      batch.commit();
    }
    assertEquals(
        mode == Mode.RING_256
            ? fetchThen() // armed by the reap
            : fetchThen("clear 0 64 64 " + Long.toHexString(31L << 5)),
        backend.calls);
    Set<Long> others = range(64, 128);
    others.removeAll(range(69, 74));
    assertEquals(others, take(a));
    assertEquals(range(64, 128), take(b));
  }

  @Test
  void bug04_pagesOfTheWordNotFetchedYet_areNotCleared() {
    LogSlot slot = log.addSlot(0, 200, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 5 * PAGE, 1);
    log.sync();
    vcpu.mark(slot, 6 * PAGE, 1); // after the sync, same word
    try (DirtyBatch<LogSlot> batch = a.takeSynced()) {
      assertEquals(Set.of(5L), pages(batch, 0));
      batch.commit();
    }
    assertTrue(slot.isMarked(6));
    assertFalse(slot.isMarked(5));
    assertEquals(Set.of(6L), take(a));
    assertEquals(Set.of(5L, 6L), take(b));
  }

  @Test
  void bug16_vcpuWarmBeforeLogging_firstClientStarts_itsNextWriteIsReported() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    boolean[] mayWriteUnmarked = {false}; // the vCPU's write TLB
    LogVcpu vcpu = log.addVcpu(() -> mayWriteUnmarked[0] = false);
    vcpu.mark(slot, 3 * PAGE, 1);
    mayWriteUnmarked[0] = true;
    vcpu.safepoint();
    assertTrue(mayWriteUnmarked[0], "nothing was armed yet");
    DirtyClient<LogSlot> client = log.client("late", InitialView.NONE_DIRTY);
    vcpu.safepoint();
    assertFalse(mayWriteUnmarked[0], "dropped before the client is told that it may rely on it");
    vcpu.mark(slot, 3 * PAGE, 1);
    assertEquals(Set.of(3L), take(client));
  }

  @Test
  void bug16_loggingStopsAndStartsAgain_writesAreReportedToTheNewClient() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    for (int i = 0; i < 3; i++) {
      try (DirtyClient<LogSlot> client = log.client("again", InitialView.NONE_DIRTY)) {
        assertEquals(Set.of(), take(client));
        vcpu.mark(slot, 99 * PAGE, PAGE);
        assertEquals(Set.of(99L), take(client));
        vcpu.mark(slot, 1 * PAGE, PAGE);
      }
      assertTrue(slot.isMarked(50), "no client: no page is armed");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5})
  void bug19_consumerFailsAfterSoManyRuns_unsentPagesAreDirtyAgainAndNoOthers(int sent) {
    LogSlot slot = log.addSlot(0, 1000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> bystander = log.client("bystander", InitialView.NONE_DIRTY);
    Set<Long> written = new TreeSet<>();
    for (long page : new long[] {0, 1, 63, 64, 500, 998, 999}) {
      vcpu.mark(slot, page * PAGE, 1);
      written.add(page);
    }
    Set<Long> unsent = new TreeSet<>(written);
    int[] runs = {0};
    assertThrows(
        TestTracker.Fault.class,
        () -> {
          try (DirtyBatch<LogSlot> batch = client.take()) {
            batch.forEachRun((id, first, count) -> {
              if (runs[0]++ == sent) {
                throw new TestTracker.Fault("network");
              }
              batch.acknowledge(id, first, count);
              unsent.removeAll(range(first, first + count));
            });
            throw new TestTracker.Fault("after the last run");
          }
        });
    assertEquals(unsent, take(client));
    assertEquals(Set.of(), take(client));
    assertEquals(written, take(bystander));
  }

  @Test
  void bug19_writtenAgainWhileTheBatchIsOpen_isDirtyAfterItsCommit() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 10 * PAGE, 20 * PAGE);
    try (DirtyBatch<LogSlot> batch = client.take()) {
      vcpu.mark(slot, 12 * PAGE, 1);
      batch.commit();
      vcpu.mark(slot, 13 * PAGE, 1);
    }
    assertEquals(Set.of(12L, 13L), take(client));
  }

  @Test
  void bug20_fullTakeThenFewWrites_nextTakeHasThoseAlone() {
    LogSlot slot = log.addSlot(0, 40_000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> snapshots = log.client("snapshots", InitialView.ALL_DIRTY);
    vcpu.mark(slot, 5 * PAGE, 1);
    try (DirtyBatch<LogSlot> full = snapshots.take()) {
      assertEquals(40_000, full.pageCount());
      full.commit();
    }
    Set<Long> written = new TreeSet<>();
    for (long page : new long[] {0, 5, 32_767, 32_768, 39_999}) {
      vcpu.mark(slot, page * PAGE, 1);
      written.add(page);
    }
    assertEquals(written, take(snapshots));
  }

  @Test
  void bug28_discard_pagesLeaveViewAndBackendForThisClientAlone() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> balloon = log.client("balloon", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> other = log.client("other", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 10 * PAGE, 10 * PAGE);
    balloon.discard(log.slot(0), 12, 3);
    assertFalse(slot.isMarked(12), "armed: only a later write makes it dirty");
    assertEquals(!mode.hasRings(), slot.isMarked(11), "out of a ring: armed by the reap");
    log.sync();
    Set<Long> rest = range(10, 20);
    rest.removeAll(range(12, 15));
    assertEquals(rest, take(balloon));
    assertEquals(range(10, 20), take(other));
    vcpu.mark(slot, 13 * PAGE, 1);
    assertEquals(Set.of(13L), take(balloon));
    assertEquals(Set.of(13L), take(other));
  }

  @Test
  void bug29_oneSlotOfManyNumbers_syncAsksTheBackendOnce() {
    log.addSlot(SlotLimits.MAX_SLOTS - 1, 100, PAGE);
    log.client("c", InitialView.NONE_DIRTY);
    backend.calls.clear();
    log.sync();
    assertEquals(mode.hasRings() ? 1 : 0, backend.count("reapRings"));
    assertEquals(1, backend.count("collect 32763"));
    assertEquals(mode.hasRings() ? 2 : 1, backend.calls.size());
    assertThrows(
        IllegalArgumentException.class, () -> log.addSlot(SlotLimits.MAX_SLOTS, 100, PAGE));
  }

  @Test
  void bug30_manyClients_oneFetchARound() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    List<DirtyClient<LogSlot>> clients = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      clients.add(log.client("c" + i, InitialView.NONE_DIRTY));
    }
    vcpu.mark(slot, 42 * PAGE, 1);
    backend.calls.clear();
    log.sync();
    for (DirtyClient<LogSlot> client : clients) {
      try (DirtyBatch<LogSlot> batch = client.takeSynced()) {
        assertEquals(Set.of(42L), pages(batch, 0));
        batch.commit();
      }
    }
    assertEquals(1, backend.count("collect"));
    assertEquals(mode.hasRings() ? 1 : 0, backend.count("reapRings"));
    assertEquals(
        mode.hasRings() ? 0 : 1,
        backend.count("clear"),
        "the first clears it, or the reap, the others do not");
  }

  @Test
  void take_nothingToClear_stillEndsWithABarrier() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    take(a);
    backend.calls.clear();
    int before = backend.barriers.get();
    take(b);
    assertEquals(0, backend.count("clear"));
    assertEquals(before + 1, backend.barriers.get());
    take(b);
    assertEquals(before + 2, backend.barriers.get());
  }

  @Test
  void take_nothingToClear_doesNotRunTheArmCallback() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    int[] runs = {0};
    LogVcpu vcpu = log.addVcpu(() -> runs[0]++);
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    vcpu.safepoint();
    take(a);
    vcpu.safepoint();
    assertEquals(1, runs[0]);
    take(b); // cleared already
    take(a);
    log.barrier();
    vcpu.safepoint();
    assertEquals(1, runs[0]);
    vcpu.mark(slot, 0, 1);
    take(b);
    vcpu.safepoint();
    assertEquals(2, runs[0]);
  }

  @Test
  void takeAtMost_dirtyPagesInThreeSlots_goesRoundAndReachesEachOnce() {
    log.addSlot(0, 10, PAGE);
    log.addSlot(5, 7, PAGE);
    log.addSlot(2, 64, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    List<String> got = new ArrayList<>();
    for (int round = 0; round < 27; round++) {
      try (DirtyBatch<LogSlot> batch = client.takeAtMost(3)) {
        assertEquals(3, batch.pageCount());
        batch.forEachRun((slot, first, count) -> {
          for (long p = first; p < first + count; p++) {
            got.add(slot.id() + ":" + p);
          }
        });
        batch.commit();
      }
    }
    List<String> expected = new ArrayList<>();
    range(0, 10).forEach(p -> expected.add("0:" + p));
    range(0, 7).forEach(p -> expected.add("5:" + p));
    range(0, 64).forEach(p -> expected.add("2:" + p));
    assertEquals(expected, got);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(0, batch.pageCount());
    }
  }

  @Test
  void takeAtMost_hotPagesAtTheStart_othersAreReachedAllTheSame() {
    LogSlot slot = log.addSlot(0, 200, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    Set<Long> got = new HashSet<>();
    for (int round = 0; round < 40; round++) {
      vcpu.mark(slot, 0, 10 * PAGE);
      try (DirtyBatch<LogSlot> batch = client.takeAtMost(7)) {
        got.addAll(pages(batch, 0));
        batch.commit();
      }
    }
    assertEquals(range(0, 200), got);
  }

  @Test
  void takeAtMost_pagesBehindTheCursorOnly_areTakenByTheSameCall() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 50 * PAGE, 1);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(Set.of(50L), pages(batch, 0));
      batch.commit();
    }
    vcpu.mark(slot, 3 * PAGE, 1);
    vcpu.mark(slot, 90 * PAGE, 1);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(2)) {
      assertEquals(Set.of(3L, 90L), pages(batch, 0));
    }
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(Set.of(90L), pages(batch, 0), "the cursor is behind page 3");
    }
  }

  @Test
  void takeAtMost_noSlots_givesAnEmptyBatch() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(5)) {
      assertEquals(0, batch.pageCount());
    }
    assertThrows(IllegalArgumentException.class, () -> client.takeAtMost(0));
    assertThrows(IllegalArgumentException.class, () -> client.takeAtMost(-1));
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
      assertEquals(Set.of(64L), pages(batch, 3));
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
    assertEquals(100, take(client).size());
  }

  @Test
  void close_oldBatchWhileTheNextIsOpen_changesNothing() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    DirtyBatch<LogSlot> first = client.take();
    first.close();
    try (DirtyBatch<LogSlot> second = client.take()) {
      assertEquals(100, second.pageCount());
      first.close();
      assertEquals(0, first.pageCount());
      assertEquals(100, second.pageCount());
      second.commit();
    }
    assertEquals(0, client.dirtyPages());
  }

  @Test
  void acknowledge_partsAndRangesTheBatchDoesNotHold_leavesTheRest() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    log.addSlot(1, 50, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 10 * PAGE, 10 * PAGE);
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.acknowledge(log.slot(0), 0, 12);
      batch.acknowledge(log.slot(0), 90, 10);
      batch.acknowledge(log.slot(1), 0, 50); // nothing of that slot was dirty
      assertThrows(IndexOutOfBoundsException.class, () -> batch.acknowledge(log.slot(0), 99, 2));
      assertThrows(IndexOutOfBoundsException.class, () -> batch.acknowledge(log.slot(1), 0, 51));
      assertThrows(IllegalArgumentException.class, () -> batch.acknowledge(log.slot(2), 0, 1));
      assertEquals(range(12, 20), pages(batch, 0));
    }
    assertEquals(range(12, 20), take(client));
  }

  @Test
  void slotAdded_clientsExist_allItsPagesAreDirtyForEach() {
    log.addSlot(0, 10, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    take(b);
    LogSlot added = log.addSlot(1, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    vcpu.mark(added, 0, 1);
    for (DirtyClient<LogSlot> client : List.of(a, b)) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(Set.of(), pages(batch, 0));
        assertEquals(range(0, 100), pages(batch, 1));
        batch.commit();
      }
    }
    vcpu.mark(added, 99 * PAGE, 1);
    for (DirtyClient<LogSlot> client : List.of(a, b)) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(Set.of(99L), pages(batch, 1));
        batch.commit();
      }
    }
  }

  @Test
  void clients_comeAndGo_eachSeesItsOwn() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    vcpu.mark(slot, PAGE, 1);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY); // arms page 1 for a, too
    vcpu.mark(slot, 2 * PAGE, 1);
    DirtyClient<LogSlot> c = log.client("c", InitialView.ALL_DIRTY);
    assertEquals(Set.of(2L), take(b));
    b.close();
    b.close();
    assertEquals(Set.of(1L, 2L), take(a));
    assertEquals(100, take(c).size());
    a.close();
    vcpu.mark(slot, 3 * PAGE, 1);
    assertEquals(Set.of(3L), take(c));
    assertThrows(IllegalStateException.class, a::take);
    assertThrows(IllegalStateException.class, () -> a.discard(log.slot(0), 0, 1));
    assertEquals(0, a.dirtyPages());
  }

  @Test
  void clientClosed_itsBatchOpen_batchStaysReadableAndGivesNothingBack() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    DirtyBatch<LogSlot> batch = a.take();
    a.close();
    assertEquals(range(0, 100), pages(batch, 0));
    batch.close();
    assertEquals(100, b.dirtyPages());
    assertEquals(100, take(b).size());
  }

  @Test
  void hostMark_everyClient_seesItOnceAndBackendIsNotCleared() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    log.mark(log.slot(0), 9 * PAGE - 1, 2);
    backend.calls.clear();
    assertEquals(Set.of(8L, 9L), take(a));
    assertEquals(0, backend.count("clear"));
    assertEquals(Set.of(), take(a));
    log.mark(log.slot(0), 9 * PAGE, 1);
    assertEquals(Set.of(8L, 9L), take(b));
    assertEquals(Set.of(9L), take(a));
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
      values.addAll(range(center - 2, center + 3));
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
                length == 0 ? Set.of() : range(offset / PAGE, (offset + length - 1) / PAGE + 1);
            assertEquals(expected, take(client), offset + ", " + length);
          } else {
            assertThrows(IndexOutOfBoundsException.class, mark::run, () -> offset + ", " + length);
          }
        }
      }
    }
    assertEquals(Set.of(), take(client));
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

  @Test
  void stoppedLog_markAndTake_needsNoVcpu() {
    DirtyLog stopped = DirtyLog.createStopped();
    LogSlot cells = stopped.addSlot(0, 100, 256);
    DirtyClient<LogSlot> client = stopped.client("rewind", InitialView.NONE_DIRTY);
    stopped.mark(cells, 255, 2);
    assertEquals(Set.of(0L, 1L), take(client));
    stopped.mark(cells, 255, 1);
    assertEquals(Set.of(0L), take(client));
    assertThrows(IllegalStateException.class, stopped::addVcpu);
  }

  @Test
  void stoppedLog_markOfASlotThatIsMarked_refusesAnotherLogsAndOneThatIsGone() {
    DirtyLog stopped = DirtyLog.createStopped();
    LogSlot others = DirtyLog.createStopped().addSlot(0, 100, 256); // no client: all are marked
    assertThrows(IllegalArgumentException.class, () -> stopped.mark(others, 0, 1));
    LogSlot gone = stopped.addSlot(0, 100, 256);
    stopped.mark(gone, 0, 1);
    stopped.change().remove(gone).commit();
    assertThrows(IllegalArgumentException.class, () -> stopped.mark(gone, 0, 1));
  }
}
