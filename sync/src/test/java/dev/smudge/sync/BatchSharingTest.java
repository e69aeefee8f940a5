package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * One batch in several hands: threads that acknowledge, a consumer that closes it, bounded runs.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BatchSharingTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 1 << 14;
  private static final int SENDERS = 4;

  private final DirtyLog log = DirtyLog.create();
  private final LogSlot slot = log.addSlot(0, PAGES, PAGE);

  private interface Part {
    void run(int thread) throws Exception;
  }

  private static void atOnce(Part part) throws Exception {
    CyclicBarrier start = new CyclicBarrier(SENDERS);
    AtomicReference<@Nullable Throwable> failed = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < SENDERS; t++) {
      int me = t;
      Thread thread =
          new Thread(() -> {
            try {
              start.await();
              part.run(me);
            } catch (Throwable e) {
              failed.set(e);
            }
          });
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
    Throwable e = failed.get();
    if (e != null) {
      throw new AssertionError(e);
    }
  }

  @Test
  void acknowledge_bySeveralThreads_countIsExactAndTheRestIsGivenBack() throws Exception {
    for (int round = 0; round < 30; round++) {
      try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY)) {
        try (DirtyBatch<LogSlot> batch = client.take()) {
          atOnce(me -> {
            for (int page = me; page < PAGES; page += SENDERS) {
              if (page % 7 != 0) {
                batch.acknowledge(slot, page, 1);
              }
            }
          });
          assertEquals((PAGES + 6) / 7, batch.pageCount());
        }
        assertDirty(client, page -> page % 7 == 0);
      }
    }
  }

  @Test
  void forEachRun_whileOthersAcknowledgeAndWalk_everyPageComesOnceOrIsAcknowledged()
      throws Exception {
    for (int round = 0; round < 30; round++) {
      try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
          DirtyBatch<LogSlot> batch = client.take()) {
        BitSet[] seen = new BitSet[SENDERS];
        atOnce(me -> {
          BitSet mine = new BitSet();
          batch.forEachRun(
              16,
              (of, first, count) -> {
                assertTrue(mine.nextSetBit((int) first) < 0, "ascending, and each once");
                mine.set((int) first, (int) (first + count));
                batch.acknowledge(of, first, count);
              });
          seen[me] = mine;
        });
        BitSet all = new BitSet();
        for (BitSet mine : seen) {
          all.or(mine);
        }
        assertEquals(PAGES, all.cardinality());
        assertEquals(0, batch.pageCount());
      }
    }
  }

  @Test
  void close_byTwoThreadsWhileOthersAcknowledge_nothingIsLost() throws Exception {
    for (int round = 0; round < 60; round++) {
      try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY)) {
        DirtyBatch<LogSlot> batch = client.take();
        BitSet acknowledged = new BitSet();
        atOnce(me -> {
          if (me < 2) {
            batch.close();
            return;
          }
          for (int page = me; page < 2_000; page += 2) {
            try {
              batch.acknowledge(slot, page, 1);
              if (me == 2) {
                acknowledged.set(page);
              }
            } catch (IllegalStateException e) {
              return; // closed
            }
          }
        });
        try (DirtyBatch<LogSlot> next = client.take()) {
          BitSet again = pages(next);
          for (int page = 0; page < PAGES; page++) {
            boolean taken = page < 2_000 && (page % 2 == 1 || acknowledged.get(page));
            assertTrue(again.get(page) || taken, "lost: " + page);
          }
          next.commit();
        }
        assertEquals(0, client.dirtyPages());
      }
    }
  }

  @Test
  void close_insideTheWalk_saysSoAndGivesBackTheRest() {
    try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY)) {
      DirtyBatch<LogSlot> batch = client.take();
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class,
              () ->
                  batch.forEachRun(
                      100,
                      (of, first, count) -> {
                        batch.acknowledge(of, first, count);
                        if (first == 200) {
                          batch.close();
                        }
                      }));
      assertTrue(String.valueOf(e.getMessage()).contains("closed"), e::toString);
      assertDirty(client, page -> page >= 300);
    }
  }

  @Test
  void commit_insideTheWalk_endsIt() {
    try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
        DirtyBatch<LogSlot> batch = client.take()) {
      int[] runs = new int[1];
      batch.forEachRun(
          100,
          (of, first, count) -> {
            runs[0]++;
            batch.commit();
          });
      assertEquals(1, runs[0]);
      assertEquals(0, batch.pageCount());
    }
  }

  @Test
  void clientTakesOrEnds_insideTheWalk_batchStaysReadable() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    DirtyBatch<LogSlot> batch = client.take();
    long[] sum = new long[1];
    batch.forEachRun(
        1_000,
        (of, first, count) -> {
          sum[0] += count;
          if (first == 0) {
            assertThrows(IllegalStateException.class, client::take);
            client.close();
          }
        });
    assertEquals(PAGES, sum[0]);
    batch.close();
  }

  @Test
  void forEachRun_bounded_runsAreAtMostSoLongAndHaveEveryPage() {
    LogSlot large = log.addSlot(1, 1L << 20, PAGE);
    try (DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
        DirtyBatch<LogSlot> batch = client.take()) {
      for (long most : new long[] {1 << 19, 65_537, 64, 63, Long.MAX_VALUE}) {
        long[] sum = new long[1];
        long[] next = new long[1];
        batch.forEachRun(
            most,
            (of, first, count) -> {
              assertTrue(count >= 1 && count <= most, "a run of " + count);
              if (of.equals(large)) {
                assertEquals(next[0], first);
                next[0] += count;
              }
              sum[0] += count;
            });
        assertEquals(PAGES + (1L << 20), sum[0]);
      }
      assertThrows(IllegalArgumentException.class, () -> batch.forEachRun(0, (s, f, c) -> {}));
    }
  }

  /** Nobody can close it: the client says what to do, and that loses nothing. */
  @Test
  void take_batchOfAThreadThatHasEnded_aForkHasItsPages() throws Exception {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    Thread taker = new Thread(client::take);
    taker.start();
    taker.join();
    log.mark(slot, 0, 1);
    IllegalStateException e = assertThrows(IllegalStateException.class, client::take);
    assertTrue(String.valueOf(e.getMessage()).contains("fork the client"), e.getMessage());
    try (DirtyClient<LogSlot> fork = client.fork("d")) {
      client.close();
      try (DirtyBatch<LogSlot> batch = fork.take()) {
        assertEquals(PAGES, batch.pageCount());
      }
    }
  }

  @Test
  void markForOthers_whatAClientWrites_isDirtyForTheOthersAlone() {
    for (Mode mode : Mode.values()) {
      DirtyLog other = mode.log();
      LogSlot ram = other.addSlot(3, 200, PAGE);
      LogVcpu vcpu = other.addVcpu();
      DirtyClient<LogSlot> restorer = other.client("restorer", InitialView.NONE_DIRTY);
      DirtyClient<LogSlot> screen = other.client("screen", InitialView.NONE_DIRTY);
      vcpu.mark(ram, 10 * PAGE, 1); // before the restore, and after it: the guest's
      restorer.markForOthers(ram, 9 * PAGE + 1, 3 * PAGE);
      vcpu.mark(ram, 11 * PAGE, 1);
      vcpu.offline();
      assertEquals(Set.of(10L, 11L), Dirty.take(restorer, 3));
      assertEquals(Set.of(9L, 10L, 11L, 12L), Dirty.take(screen, 3));
      restorer.markForOthers(ram, 0, 0);
      restorer.markForOthers(ram, 50 * PAGE, 1);
      vcpu.mark(ram, 50 * PAGE, 1);
      vcpu.offline();
      assertEquals(Set.of(50L), Dirty.take(restorer, 3), "a write by the guest after that");
      assertEquals(Set.of(50L), Dirty.take(screen, 3));
      assertThrows(
          IndexOutOfBoundsException.class, () -> restorer.markForOthers(ram, 199 * PAGE, PAGE + 1));
      assertEquals(Set.of(), Dirty.take(screen, 3));
      other.change().remove(ram).commit();
      assertThrows(IllegalArgumentException.class, () -> restorer.markForOthers(ram, 0, 1));
      restorer.close();
      assertThrows(IllegalStateException.class, () -> restorer.markForOthers(ram, 0, 1));
    }
  }

  private static BitSet pages(DirtyBatch<LogSlot> batch) {
    BitSet pages = new BitSet();
    batch.forEachRun((of, first, count) -> pages.set((int) first, (int) (first + count)));
    return pages;
  }

  private static void assertDirty(DirtyClient<LogSlot> client, IntPredicate expected) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      BitSet pages = pages(batch);
      for (int page = 0; page < PAGES; page++) {
        assertEquals(expected.test(page), pages.get(page), "page " + page);
      }
      batch.commit();
    }
  }
}
