package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.agrona.concurrent.Agent;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many pushes: as many as were counted come out again, and the copy equals RAM. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class RingSoakTest {
  private static final int SHARE = Boolean.getBoolean("smudge.all") ? 1 : 10;
  private static final int PAGES = 32_768;

  private final long[] ram = new long[PAGES];
  private final long[] copy = new long[PAGES];

  private void copy(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          System.arraycopy(ram, (int) first, copy, (int) first, (int) count));
      batch.commit();
    }
  }

  /** Returns the counters of the end. */
  private DirtyCounters soak(DirtyLog log, long pushes, long seconds, long least) throws Exception {
    LogSlot slot = log.addSlot(0, PAGES, 1);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    Agent reaper = log.reaper();
    long start = System.nanoTime();
    long end = start + TimeUnit.SECONDS.toNanos(seconds);
    AtomicLong version = new AtomicLong();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            long written = 0;
            for (long made = 0;
                made < pushes && (made <= least || System.nanoTime() - end < 0);
                made = Dirty.madeBy(vcpu)) {
              written++;
              for (int page = 0; page < PAGES; page++) {
                ram[page] = written;
                vcpu.mark(slot, page, 1);
                if (page % 32 == 31) {
                  vcpu.safepoint();
                }
              }
            }
            version.set(written);
            vcpu.close();
          });
      for (long i = 0; !running.isDone(); i++) {
        if (i % 1_024 == 0) {
          copy(client);
        } else {
          reaper.doWork();
        }
      }
      GuestThread.end(running);
    }
    copy(client);
    for (int page = 0; page < PAGES; page++) {
      assertEquals(version.get(), ram[page], "ram " + page);
      assertEquals(ram[page], copy[page], "page " + page);
    }
    DirtyCounters counters = log.counters();
    System.out.println(
        "soak: " + counters + " in " + (System.nanoTime() - start) / 1_000_000 + " ms");
    return counters;
  }

  @Test
  void soak_vcpuWaitsForRoom_everyPageThatWasMarkedIsHarvested() throws Exception {
    DirtyLog log = DirtyLog.builder().ring(16_384).build();
    DirtyCounters counters = soak(log, 100_000_000 / SHARE, 10, 1_000_000);
    assertEquals(0, counters.ringSpills(), "the reserve was enough");
    assertEquals(counters.dirtyPages(), counters.ringEntries());
  }

  @Test
  void soak_ringOverflows_everyPageThatWasMarkedIsHarvestedOrInTheBitmap() throws Exception {
    DirtyLog log = DirtyLog.builder().ring(64, 0, RingFullPolicy.SPILL).build();
    DirtyCounters counters = soak(log, 20_000_000 / SHARE, 3, 100_000);
    assertEquals(counters.dirtyPages(), counters.ringEntries() + counters.ringSpills());
  }
}
