package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.collect.SlotLimits;
import java.util.ArrayList;
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

  @Test
  void bug03_doubleClear_twoClients_newWriteIsSeenByBoth() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 7 * PAGE, 1);
    log.sync();
    assertEquals(Set.of(7L), Dirty.take(a));
    vcpu.mark(slot, 7 * PAGE, 1); // the second version
    try (DirtyBatch<LogSlot> batch = b.takeSynced()) { // by its old copy of the bit
      assertEquals(Set.of(7L), Dirty.pages(batch, 0));
      batch.commit();
    }
    assertEquals(Set.of(7L), Dirty.take(a), "the second version");
    vcpu.mark(slot, 7 * PAGE, 1);
    assertEquals(Set.of(7L), Dirty.take(b), "the third version");
    assertEquals(Set.of(7L), Dirty.take(a));
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
      assertEquals(Dirty.range(69, 74), Dirty.pages(batch, 0));
      batch.commit();
    }
    assertEquals(
        mode == Mode.RING_256
            ? fetchThen() // armed by the reap
            : fetchThen("clear 0 64 64 " + Long.toHexString(31L << 5)),
        backend.calls);
    Set<Long> others = Dirty.range(64, 128);
    others.removeAll(Dirty.range(69, 74));
    assertEquals(others, Dirty.take(a));
    assertEquals(Dirty.range(64, 128), Dirty.take(b));
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
      assertEquals(Set.of(5L), Dirty.pages(batch, 0));
      batch.commit();
    }
    assertTrue(slot.isMarked(6));
    assertFalse(slot.isMarked(5));
    assertEquals(Set.of(6L), Dirty.take(a));
    assertEquals(Set.of(5L, 6L), Dirty.take(b));
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
    assertEquals(Set.of(3L), Dirty.take(client));
  }

  @Test
  void bug16_loggingStopsAndStartsAgain_writesAreReportedToTheNewClient() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    for (int i = 0; i < 3; i++) {
      try (DirtyClient<LogSlot> client = log.client("again", InitialView.NONE_DIRTY)) {
        assertEquals(Set.of(), Dirty.take(client));
        vcpu.mark(slot, 99 * PAGE, PAGE);
        assertEquals(Set.of(99L), Dirty.take(client));
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
              unsent.removeAll(Dirty.range(first, first + count));
            });
            throw new TestTracker.Fault("after the last run");
          }
        });
    assertEquals(unsent, Dirty.take(client));
    assertEquals(Set.of(), Dirty.take(client));
    assertEquals(written, Dirty.take(bystander));
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
    assertEquals(Set.of(12L, 13L), Dirty.take(client));
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
    assertEquals(written, Dirty.take(snapshots));
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
    Set<Long> rest = Dirty.range(10, 20);
    rest.removeAll(Dirty.range(12, 15));
    assertEquals(rest, Dirty.take(balloon));
    assertEquals(Dirty.range(10, 20), Dirty.take(other));
    vcpu.mark(slot, 13 * PAGE, 1);
    assertEquals(Set.of(13L), Dirty.take(balloon));
    assertEquals(Set.of(13L), Dirty.take(other));
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
        assertEquals(Set.of(42L), Dirty.pages(batch, 0));
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
    Dirty.take(a);
    backend.calls.clear();
    int before = backend.barriers.get();
    Dirty.take(b);
    assertEquals(0, backend.count("clear"));
    assertEquals(before + 1, backend.barriers.get());
    Dirty.take(b);
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
    Dirty.take(a);
    vcpu.safepoint();
    assertEquals(1, runs[0]);
    Dirty.take(b); // cleared already
    Dirty.take(a);
    log.barrier();
    vcpu.safepoint();
    assertEquals(1, runs[0]);
    vcpu.mark(slot, 0, 1);
    Dirty.take(b);
    vcpu.safepoint();
    assertEquals(2, runs[0]);
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
      assertEquals(Dirty.range(12, 20), Dirty.pages(batch, 0));
    }
    assertEquals(Dirty.range(12, 20), Dirty.take(client));
  }

  @Test
  void slotAdded_clientsExist_allItsPagesAreDirtyForEach() {
    log.addSlot(0, 10, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.ALL_DIRTY);
    Dirty.take(b);
    LogSlot added = log.addSlot(1, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    vcpu.mark(added, 0, 1);
    for (DirtyClient<LogSlot> client : List.of(a, b)) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(Set.of(), Dirty.pages(batch, 0));
        assertEquals(Dirty.range(0, 100), Dirty.pages(batch, 1));
        batch.commit();
      }
    }
    vcpu.mark(added, 99 * PAGE, 1);
    for (DirtyClient<LogSlot> client : List.of(a, b)) {
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(Set.of(99L), Dirty.pages(batch, 1));
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
    assertEquals(Set.of(2L), Dirty.take(b));
    b.close();
    b.close();
    assertEquals(Set.of(1L, 2L), Dirty.take(a));
    assertEquals(100, Dirty.take(c).size());
    a.close();
    vcpu.mark(slot, 3 * PAGE, 1);
    assertEquals(Set.of(3L), Dirty.take(c));
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
    assertEquals(Dirty.range(0, 100), Dirty.pages(batch, 0));
    batch.close();
    assertEquals(100, b.dirtyPages());
    assertEquals(100, Dirty.take(b).size());
  }

  @Test
  void hostMark_everyClient_seesItOnceAndBackendIsNotCleared() {
    log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    log.mark(log.slot(0), 9 * PAGE - 1, 2);
    backend.calls.clear();
    assertEquals(Set.of(8L, 9L), Dirty.take(a));
    assertEquals(0, backend.count("clear"));
    assertEquals(Set.of(), Dirty.take(a));
    log.mark(log.slot(0), 9 * PAGE, 1);
    assertEquals(Set.of(8L, 9L), Dirty.take(b));
    assertEquals(Set.of(9L), Dirty.take(a));
  }
}
