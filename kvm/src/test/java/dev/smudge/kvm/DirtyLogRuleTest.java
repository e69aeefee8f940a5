package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.kvmguest.PageWriter;
import dev.smudge.ring.HarvestedPages;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The rule of the kernel's own dirty-log test: each page carries the iteration in which it was last
 * written, so a dirty page carries this iteration, and a clean one an older.
 *
 * <p>Source: Linux tools/testing/selftests/kvm/dirty_log_test.c.
 */
@RequiresKvm
@Timeout(300)
class DirtyLogRuleTest {
  private static final int PAGES = 6001;
  private static final int ITERATIONS = Boolean.getBoolean("smudge.all") ? 12 : 4;

  enum Mode {
    BITMAP,
    MANUAL,
    INITIALLY_SET,
    RING_256,
    RING_1024,
    RING_4096;

    int ring() {
      return switch (this) {
        case RING_256 -> 256;
        case RING_1024 -> 1024;
        case RING_4096 -> 4096;
        default -> 0;
      };
    }

    KvmGuest guest() {
      return new KvmGuest(
              PAGES,
              vm -> {
                switch (this) {
                  case BITMAP -> {}
                  case MANUAL -> vm.enableManualProtect(false);
                  case INITIALLY_SET -> vm.enableManualProtect(true);
                  default -> vm.enableDirtyRing(ring());
                }
              })
          .log();
    }
  }

  /** What was dirty since the last call, and is armed again. */
  private static final class Collector {
    final KvmGuest guest;
    final Mode mode;
    final HarvestedPages harvest;

    Collector(KvmGuest guest, Mode mode) {
      this.guest = guest;
      this.mode = mode;
      harvest = mode.ring() > 0 ? guest.vcpu.ring().newHarvest() : new HarvestedPages(1);
    }

    BitSet collect() {
      if (mode.ring() > 0) {
        return guest.reap(harvest, new ArrayList<>());
      }
      BitSet found = guest.get();
      if (mode != Mode.BITMAP) {
        clear(found);
      }
      return found;
    }

    /** In two ranges, which have no page in common. */
    private void clear(BitSet found) {
      int half = PAGES / 128 * 64;
      guest.clear(0, half, found.get(0, half));
      guest.clear(half, PAGES - half, found.get(half, PAGES));
    }
  }

  @ParameterizedTest
  @EnumSource
  void guestStopped_dirtyPageHasThisIteration_cleanPageAnOlder(Mode mode) {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    String where = mode + ", seed " + seed;
    try (KvmGuest guest = mode.guest()) {
      Collector collector = new Collector(guest, mode);
      if (mode == Mode.INITIALLY_SET) {
        assertEquals(KvmGuest.set(KvmGuest.range(0, PAGES)), collector.collect());
      }
      int fullExits = 0;
      for (long iteration = 1; iteration <= ITERATIONS; iteration++) {
        guest.order(iteration, random.ints(random.nextInt(1, PAGES / 2), 0, PAGES).toArray());
        BitSet dirty = new BitSet();
        while (guest.vcpu.run() == RunLayout.EXIT_DIRTY_RING_FULL) {
          fullExits++;
          dirty.or(collector.collect());
        }
        assertEquals(PageWriter.DONE_PORT, guest.vcpu.ioPort());
        dirty.or(collector.collect());
        for (int page = 0; page < PAGES; page++) {
          assertEquals(dirty.get(page), guest.valueOf(page) == iteration, where + ", page " + page);
        }
      }
      assertEquals(mode.ring() > 0 && mode.ring() < 4096, fullExits > 0, where);
    }
  }

  /** Writes while the pages are collected, and is stopped by full rings alone. */
  @ParameterizedTest
  @EnumSource
  void guestRuns_cleanPageWithThisIteration_isDirtyInTheNext(Mode mode) throws Exception {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    String where = mode + ", seed " + seed;
    try (KvmGuest guest = mode.guest()) {
      Collector collector = new Collector(guest, mode);
      guest.program.mode(false, true);
      guest.order(1, random.ints(PAGES, 0, PAGES).toArray());
      Runner runner = new Runner(guest.vcpu);
      BitSet must = new BitSet(); // seen with a value that no collection has reported
      long[] seen = new long[PAGES];
      int pagesFound = 0;
      for (long iteration = 1; pagesFound < 3 * PAGES; iteration++) {
        runner.checkAlive();
        guest.program.iteration(iteration);
        BitSet dirty = collector.collect();
        must.andNot(dirty);
        assertEquals(0, must.cardinality(), where + ", written and never reported");
        pagesFound += dirty.cardinality();
        int older = 0;
        for (int page = 0; page < PAGES; page++) {
          long value = guest.valueOf(page);
          older += dirty.get(page) && value < iteration - 1 ? 1 : 0;
          if (value != seen[page] && !dirty.get(page)) {
            must.set(page); // written after its place in this collection
          }
          seen[page] = value;
        }
        // The first write since the last collection may have read its number before that, and the
        // last one may be reported and not have happened yet.
        if (iteration > 1) {
          assertTrue(older <= 2, where + ", reported without cause: " + older);
        }
      }
      runner.stop();
      must.andNot(collector.collect());
      assertEquals(0, must.cardinality(), where + ", written and never reported");
    }
  }

  /** Runs a vCPU whose ring another thread empties. */
  private static final class Runner {
    private final KvmVcpu vcpu;
    private final CompletableFuture<Integer> end = new CompletableFuture<>();

    Runner(KvmVcpu vcpu) {
      this.vcpu = vcpu;
      Thread.ofPlatform().daemon().start(this::run);
    }

    private void run() {
      try {
        int reason = vcpu.run();
        while (reason == RunLayout.EXIT_DIRTY_RING_FULL) {
          Thread.onSpinWait();
          reason = vcpu.run();
        }
        end.complete(reason);
      } catch (Throwable e) {
        end.completeExceptionally(e);
      }
    }

    void checkAlive() throws Exception {
      if (end.isDone()) {
        throw new AssertionError("the guest has ended: " + end.get());
      }
    }

    void stop() throws Exception {
      vcpu.kick();
      assertEquals(RunLayout.EXIT_INTR, end.get());
    }
  }
}
