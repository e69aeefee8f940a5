package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.watch.PageWatch;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Several vCPUs, a device and one cache of translated code, beside clients that take. The code of a
 * page is a number, its translation the same number. When a write has returned, no translation of
 * an older number is in the cache. And no write is lost to the clients.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class CodeCacheRaceTest {
  private static final int PAGES = 8;
  private static final int PAGE = 64;
  private static final int ENOUGH = 100;
  private static final VarHandle CELL = MethodHandles.arrayElementVarHandle(long[].class);

  private final DirtyLog log;
  private final LogSlot slot;
  private final PageWatch watch;
  private final long[] ram = new long[PAGES];
  private final AtomicLong[] written = new AtomicLong[PAGES]; // returned, the newest
  private final Object cacheLock = new Object();
  private final long[] cache = new long[PAGES]; // 0: no translation
  private final long[] invalidations = new long[PAGES];
  private final AtomicBoolean stop = new AtomicBoolean();
  private final AtomicBoolean allWritten = new AtomicBoolean();
  private final AtomicLong runs = new AtomicLong();
  private final AtomicLong translations = new AtomicLong();

  CodeCacheRaceTest(Mode mode) {
    log = mode.log();
    slot = log.addSlot(0, PAGES, PAGE);
    watch = log.watchPages(slot, this::invalidate);
    for (int page = 0; page < PAGES; page++) {
      written[page] = new AtomicLong();
    }
  }

  private void invalidate(long at, long length) {
    synchronized (cacheLock) {
      for (int page = (int) at / PAGE; page <= (at + length - 1) / PAGE; page++) {
        cache[page] = 0;
        invalidations[page]++;
      }
    }
  }

  /** Runs the code of a page: out of the cache, or translated now. */
  private void run(int page) {
    long atLeast = written[page].get();
    long before;
    synchronized (cacheLock) {
      long code = cache[page];
      if (code != 0) {
        assertTrue(code >= atLeast, () -> "stale: " + code + " after " + atLeast);
        runs.incrementAndGet();
        return;
      }
      before = invalidations[page];
    }
    watch.arm(page * (long) PAGE, PAGE);
    long code = (long) CELL.getOpaque(ram, page);
    synchronized (cacheLock) {
      if (invalidations[page] == before && code != 0) {
        cache[page] = code;
        translations.incrementAndGet();
      }
    }
  }

  /** Each page has one writer, so its numbers ascend. */
  private void write(@Nullable LogVcpu vcpu, int page, boolean[] tlb, long number) {
    CELL.setOpaque(ram, page, number);
    if (vcpu == null) {
      log.mark(slot, page * (long) PAGE, 8);
    } else if (!tlb[page]) {
      vcpu.mark(slot, page * (long) PAGE, 8);
      tlb[page] = slot.isMarked(page);
    }
    written[page].set(number);
  }

  private void vcpu(int index) {
    boolean[] tlb = new boolean[PAGES];
    SplittableRandom random = new SplittableRandom(index);
    try (LogVcpu vcpu = log.addVcpu(() -> Arrays.fill(tlb, false))) {
      for (long number = 1; !stop.get(); number++) {
        vcpu.safepoint();
        int page = index + 3 * random.nextInt(2); // 0, 3; 1, 4; 2, 5
        if (random.nextInt(3) == 0) {
          write(vcpu, page, tlb, number);
        } else {
          run(random.nextInt(PAGES));
        }
      }
    }
  }

  private void device() {
    SplittableRandom random = new SplittableRandom(7);
    for (long number = 1; !stop.get(); number++) {
      write(null, 6 + random.nextInt(2), new boolean[0], number);
    }
  }

  private void takes(long[] copy) {
    try (DirtyClient<LogSlot> client = log.client("copies", InitialView.ALL_DIRTY)) {
      boolean last;
      do {
        last = allWritten.get();
        try (DirtyBatch<LogSlot> batch = client.take()) {
          batch.forEachRun((in, first, count) -> {
            for (int page = (int) first; page < first + count; page++) {
              copy[page] = (long) CELL.getOpaque(ram, page);
            }
          });
          batch.commit();
        }
      } while (!last);
    }
  }

  @Test
  void noStaleCode_andNoLostWrite() throws Exception {
    long[] copy = new long[PAGES];
    ExecutorService threads = Executors.newCachedThreadPool();
    try {
      List<Future<?>> writers = new ArrayList<>();
      for (int index = 0; index < 3; index++) {
        int of = index;
        writers.add(threads.submit(() -> vcpu(of)));
      }
      writers.add(threads.submit(this::device));
      Future<?> copies = threads.submit(() -> takes(copy));
      long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1500);
      GuestThread.await(() ->
          (System.nanoTime() > end && runs.get() > ENOUGH && translations.get() > ENOUGH)
              || writers.stream().anyMatch(Future::isDone)); // one has failed
      stop.set(true);
      for (Future<?> writer : writers) {
        writer.get();
      }
      allWritten.set(true);
      copies.get();
    } finally {
      stop.set(true);
      allWritten.set(true);
      threads.shutdown();
    }
    assertArrayEquals(ram, copy);
    assertTrue(runs.get() > ENOUGH && translations.get() > ENOUGH, runs + " runs, " + translations);
    log.close();
  }
}
