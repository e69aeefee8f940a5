package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The rule of the kernel's own dirty-log test, as {@link DirtyLogRuleTest}, for a client of a log
 * over KVM. The runner empties full rings.
 */
@RequiresKvm
@Timeout(120)
class ClientRuleTest {
  private static final int PAGES = 6001;
  private static final int ITERATIONS = 8;

  enum Mode {
    INITIALLY_SET(0),
    MANUAL(0),
    RING_256(256),
    RING_1024(1024),
    RING_4096(4096);

    final int ring;

    Mode(int ring) {
      this.ring = ring;
    }
  }

  /** A guest with one slot, and one client. */
  private static final class Fixture implements AutoCloseable {
    final TestMachine.Kernel machine;
    final GuestSlot slot;
    final DirtyClient client;

    Fixture(Mode mode) {
      machine = new TestMachine.Kernel(mode.ring, mode != Mode.MANUAL, DirtyLog.builder());
      slot = machine.memory.addSlot(1, BackendContract.BASE, machine.ram(PAGES), TestMachine.PAGE);
      client = machine.memory.log().client("c", InitialView.NONE_DIRTY);
    }

    BitSet collect() {
      BitSet found = new BitSet();
      try (DirtyBatch batch = client.take()) {
        batch.forEachRun((in, page, count) -> found.set((int) page, (int) (page + count)));
        batch.commit();
      }
      return found;
    }

    long valueOf(int page) {
      return slot.ram().get(ValueLayout.JAVA_LONG, (long) page * TestMachine.PAGE);
    }

    static long[] addresses(LongStream pages) {
      return pages.map(page -> BackendContract.BASE + page * TestMachine.PAGE).toArray();
    }

    @Override
    public void close() {
      machine.close();
    }
  }

  @ParameterizedTest
  @EnumSource
  void guestStopped_dirtyPageHasThisIteration_cleanPageAnOlder(Mode mode) {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    try (Fixture guest = new Fixture(mode)) {
      for (long iteration = 1; iteration <= ITERATIONS; iteration++) {
        LongStream pages =
            iteration == 2
                ? LongStream.range(0, PAGES) // more than any of the rings holds
                : random.longs(random.nextInt(1, PAGES / 2), 0, PAGES);
        guest.machine.write(iteration, Fixture.addresses(pages));
        BitSet dirty = guest.collect();
        for (int page = 0; page < PAGES; page++) {
          assertEquals(
              dirty.get(page),
              guest.valueOf(page) == iteration,
              mode + ", seed " + seed + ", iteration " + iteration + ", page " + page);
        }
      }
      assertEquals(mode.ring > 0, guest.machine.runner.fullExits() > 0);
    }
  }

  /** Writes while the pages are collected. */
  @ParameterizedTest
  @EnumSource
  void guestRuns_cleanPageWithThisIteration_isDirtyInTheNext(Mode mode) throws Exception {
    long seed = System.nanoTime();
    String where = mode + ", seed " + seed;
    try (Fixture guest = new Fixture(mode)) {
      guest.machine.program.mode(false, true);
      guest.machine.program.list(Fixture.addresses(new Random(seed).longs(PAGES, 0, PAGES)));
      guest.machine.program.iteration(1);
      CompletableFuture<Integer> end = guest.machine.start();
      BitSet must = new BitSet(); // seen with a value that no collection has reported
      long[] seen = new long[PAGES];
      int found = 0;
      for (long iteration = 1; found < 3 * PAGES; iteration++) {
        assertTrue(!end.isDone(), () -> where + ": the guest has ended");
        guest.machine.program.iteration(iteration);
        BitSet dirty = guest.collect();
        must.andNot(dirty);
        assertEquals(0, must.cardinality(), where + ", written and never reported");
        found += dirty.cardinality();
        for (int page = 0; page < PAGES; page++) {
          long value = guest.valueOf(page);
          if (value != seen[page] && !dirty.get(page)) {
            must.set(page); // written after its place in this collection
          }
          seen[page] = value;
        }
      }
      guest.machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, end.get());
      must.andNot(guest.collect());
      assertEquals(0, must.cardinality(), where + ", written and never reported");
    }
  }
}
