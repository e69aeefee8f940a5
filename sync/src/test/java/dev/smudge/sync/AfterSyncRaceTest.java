package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.invoke.VarHandle;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** docs/bugs.md row 5 and 6: a store that was not reported, and the read that came before it. */
@Timeout(value = 180, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class AfterSyncRaceTest {
  private static final int PAGES = 64; // one word: cleared at once
  private static final int APART = 16; // longs: no two pages in a cache line
  private static final long OVER = Long.MAX_VALUE;
  private static final long LIMIT = TimeUnit.SECONDS.toNanos(8); // for a busy machine
  private static final long LEAST = 1_000;

  private final Mode mode;

  AfterSyncRaceTest(Mode mode) {
    this.mode = mode;
  }

  /** A guest that checks first and stores afterwards, as one with a write TLB does. */
  private boolean isLostWhenTheGuestStopsBetweenCheckAndStore(boolean withoutBarrier) {
    TestTracker backend = new TestTracker();
    backend.withoutBarrier = withoutBarrier;
    DirtyLog log = backend.log(mode);
    log.addSlot(0, 1, 1);
    int[] ram = {0};
    int[] copy = {-1};
    boolean[] tlb = {false};
    LogVcpu vcpu = log.addVcpu(() -> tlb[0] = false);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    try (GuestThread guest = new GuestThread("guest");
        GuestThread collector = new GuestThread("collector")) {
      guest.run(() -> {
        vcpu.safepoint();
        ram[0] = 1;
        vcpu.mark(log.slot(0), 0, 1);
        tlb[0] = true;
      });
      boolean[] checked = {false};
      guest.run(() -> checked[0] = tlb[0]); // the check: it may store without a mark
      assertTrue(checked[0]);
      Future<?> take =
          collector.begin(() -> {
            try (DirtyBatch<LogSlot> batch = client.take()) {
              batch.forEachRun((slot, first, count) -> copy[0] = ram[0]);
              batch.commit();
            }
          });
      if (withoutBarrier) {
        GuestThread.end(take); // clears and reads between the guest's check and its store
      } else {
        GuestThread.await(() -> backend.barriers.get() > 0 || take.isDone());
        for (int i = 0; i < 100; i++) {
          guest.run(() -> {}); // time for a take that does not wait
        }
        assertFalse(take.isDone(), "it waits for the guest's safepoint");
      }
      guest.run(() -> ram[0] = 2); // the store
      GuestThread.await(() -> {
        guest.run(vcpu::safepoint);
        return take.isDone();
      });
      GuestThread.end(take);
      guest.run(vcpu::close);
      collector.run(() -> {
        try (DirtyBatch<LogSlot> batch = client.take()) {
          batch.forEachRun((slot, first, count) -> copy[0] = ram[0]);
          batch.commit();
        }
      });
    }
    return copy[0] != ram[0];
  }

  @Test
  void bug05_checkThenClearAndReadThenStore_withTheBarrier_isNotLost() {
    assertFalse(isLostWhenTheGuestStopsBetweenCheckAndStore(false));
  }

  @Test
  void bug05_weakenedWithoutBarrier_checkThenClearAndReadThenStore_isLost() {
    assertTrue(isLostWhenTheGuestStopsBetweenCheckAndStore(true));
  }

  /**
   * Races of stores against a clear that is followed by reads. The pages' live bits are set; the
   * guest stores into one after the other and takes the fastest path of {@code mark}, the collector
   * clears the bit, waits for the barrier or not, and reads.
   */
  private static final class Race {
    final TestTracker backend = new TestTracker();
    final DirtyLog log;
    final LogSlot slot;
    final LogVcpu vcpu;
    final boolean barrier;
    final boolean fence; // of the guest, between store and test: the price that the barrier saves
    final long[] ram = new long[(PAGES + 1) * APART]; // page p is cell (p + 1) * APART
    final long[] allPages = {-1L};
    final AtomicLong started = new AtomicLong();
    final AtomicLong finished = new AtomicLong();
    final long[] read = new long[PAGES];
    long races;
    final AtomicLong spent = new AtomicLong(); // keeps the delays from being dropped

    Race(Mode mode, boolean barrier, boolean fence) {
      this.log = backend.log(mode);
      this.slot = log.addSlot(0, PAGES, 1);
      this.vcpu = log.addVcpu();
      this.barrier = barrier;
      this.fence = fence;
    }

    private void awaitRound(AtomicLong counter, long round, boolean guest) {
      for (int spins = 0; counter.getAcquire() < round; spins++) {
        if (guest) {
          vcpu.safepoint();
        }
        if (spins > 5_000) {
          LockSupport.parkNanos(1_000); // the other has no core
        }
      }
    }

    private long delay(long length) {
      long x = length;
      for (long i = 0; i < length; i++) {
        x = x * 31 + i;
      }
      return x;
    }

    void guest(long rounds) {
      long x = 0;
      vcpu.online();
      for (long round = 1; round <= rounds; round++) {
        awaitRound(started, round, true);
        if (started.getAcquire() == OVER) {
          break;
        }
        x += delay(round * 7 % 61);
        for (int page = 0; page < PAGES; page++) {
          ram[(page + 1) * APART] = round;
          if (fence) {
            VarHandle.fullFence();
          }
          vcpu.mark(slot, page, 1);
        }
        finished.setRelease(round);
      }
      awaitRound(started, OVER, true); // a barrier may be waiting for it
      vcpu.offline();
      spent.addAndGet(x);
    }

    /** Returns how many stores of the round were lost. */
    int lostIn(long round) {
      backend.part(log.slot(0)).stop(); // sets the live bit: not armed
      started.setRelease(round);
      long x = delay(round * 11 % 1021);
      backend.part(log.slot(0)).clear(0, PAGES, allPages);
      if (barrier) {
        backend.real().afterSync();
      }
      for (int page = 0; page < PAGES; page++) {
        read[page] = ram[(page + 1) * APART];
      }
      awaitRound(finished, round, false);
      spent.addAndGet(x);
      int lost = 0;
      for (int page = 0; page < PAGES; page++) {
        lost += read[page] != round && !slot.isMarked(page) ? 1 : 0;
      }
      return lost;
    }

    /** Returns how many stores were lost until {@code enough} were, or all rounds were run. */
    long run(long rounds, long enough, long limitNanos) {
      long lost = 0;
      long end = System.nanoTime() + limitNanos;
      try (GuestThread guest = new GuestThread("guest")) {
        Future<?> running = guest.begin(() -> guest(rounds));
        while (races < rounds && lost < enough) {
          races++;
          lost += lostIn(races);
          if ((races & 1023) == 0 && System.nanoTime() - end > 0) {
            break;
          }
        }
        started.setRelease(OVER);
        GuestThread.end(running);
      }
      return lost;
    }
  }

  private long rounds() {
    return mode.hasRings() ? 10_000 : 60_000; // the fast path is the same
  }

  @Test
  void bug06_storeTestSkip_withTheBarrier_noneIsLost() {
    Race race = new Race(mode, true, false);
    assertEquals(0, race.run(rounds(), 1, LIMIT));
    assertTrue(race.races >= LEAST, race.races + " races");
  }

  /** The losses of the weakened variant are stores that pass the load after them, no others. */
  @Test
  void bug06_storeFenceTestSkip_withoutBarrier_noneIsLost() {
    Race race = new Race(mode, false, true);
    assertEquals(0, race.run(rounds(), 1, LIMIT));
    assertTrue(race.races >= LEAST, race.races + " races");
  }

  @Test
  void bug06_weakenedWithoutBarrier_storeTestSkip_someAreLost() {
    Assumptions.assumeFalse(mode.hasRings(), "the fast path is the same");
    Race race = new Race(mode, false, false);
    long lost = race.run(20_000_000, 1, TimeUnit.SECONDS.toNanos(20));
    // Not a failure: a machine that gives the two threads one core does not show it.
    Assumptions.assumeTrue(lost > 0, "no loss in " + race.races + " races");
    System.out.println("bug06 without the barrier: lost after " + race.races + " races");
  }
}
