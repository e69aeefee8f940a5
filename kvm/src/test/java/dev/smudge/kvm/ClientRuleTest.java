package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The rule of the kernel's own dirty-log test, as {@link DirtyLogRuleTest}, for a client of a log
 * over KVM. The runner empties full rings.
 */
@RequiresKvm
@Timeout(300)
class ClientRuleTest {
  private static final int PAGES = 6001;
  private static final int ITERATIONS = Boolean.getBoolean("smudge.all") ? 8 : 4;

  enum Mode {
    INITIALLY_SET(0, 1),
    INITIALLY_SET_TWO_VCPUS(0, 2),
    MANUAL(0, 1),
    MANUAL_FOUR_VCPUS(0, 4),
    RING_256(256, 1),
    RING_256_TWO_VCPUS(256, 2),
    RING_256_FOUR_VCPUS(256, 4),
    RING_1024(1024, 1),
    RING_4096(4096, 1);

    final int ring;
    final int vcpus;

    Mode(int ring, int vcpus) {
      this.ring = ring;
      this.vcpus = vcpus;
    }

    boolean isInitiallySet() {
      return this == INITIALLY_SET || this == INITIALLY_SET_TWO_VCPUS;
    }
  }

  /** A guest with one slot, and one client. Each vCPU has its own eight bytes in each page. */
  private static final class Fixture implements AutoCloseable {
    final KvmMachine machine;
    final GuestSlot slot;
    final DirtyClient<LogSlot> client;
    final List<KvmMachine.Cpu> vcpus = new ArrayList<>();

    Fixture(Mode mode) {
      machine = new KvmMachine(mode.ring, mode.isInitiallySet(), DirtyLog.builder());
      vcpus.add(machine.first);
      while (vcpus.size() < mode.vcpus) {
        vcpus.add(machine.addVcpu(vcpus.size()));
      }
      slot = machine.memory().addSlot(1, GuestMachine.BASE, machine.ram(PAGES), GuestMachine.PAGE);
      client = machine.memory().log().client("c", InitialView.NONE_DIRTY);
    }

    /** All vCPUs write the iteration, each to pages of its own choice. */
    void order(long iteration, IntFunction<LongStream> pages) {
      for (int vcpu = 0; vcpu < vcpus.size(); vcpu++) {
        long base = GuestMachine.BASE + (long) vcpu * Long.BYTES;
        PageWriter program = vcpus.get(vcpu).program;
        program.list(pages.apply(vcpu).map(page -> base + page * GuestMachine.PAGE).toArray());
        program.iteration(iteration);
      }
    }

    List<CompletableFuture<Integer>> start() {
      return vcpus.stream().map(KvmMachine.Cpu::start).toList();
    }

    BitSet collect() {
      BitSet found = new BitSet();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        batch.forEachRun((in, page, count) -> found.set((int) page, (int) (page + count)));
        batch.commit();
      }
      return found;
    }

    long valueOf(int page, int vcpu) {
      return slot.ram()
          .get(ValueLayout.JAVA_LONG, (long) page * GuestMachine.PAGE + (long) vcpu * Long.BYTES);
    }

    boolean anyHas(int page, long value) {
      return IntStream.range(0, vcpus.size()).anyMatch(vcpu -> valueOf(page, vcpu) == value);
    }

    void checkFullExits(Mode mode) {
      for (KvmMachine.Cpu vcpu : vcpus) {
        assertEquals(mode.ring > 0, vcpu.runner.fullExits() > 0, vcpu.runner::toString);
      }
    }

    @Override
    public void close() {
      machine.close();
    }
  }

  @ParameterizedTest
  @EnumSource
  void guestStopped_dirtyPageHasThisIteration_cleanPageAnOlder(Mode mode) throws Exception {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    try (Fixture guest = new Fixture(mode)) {
      for (long iteration = 1; iteration <= ITERATIONS; iteration++) {
        boolean all = iteration == 2; // more than any of the rings holds
        guest.order(
            iteration,
            vcpu ->
                all
                    ? LongStream.range(0, PAGES)
                    : random.longs(random.nextInt(1, PAGES / 2), 0, PAGES));
        for (CompletableFuture<Integer> end : guest.start()) {
          assertEquals(RunLayout.EXIT_IO, end.get());
        }
        BitSet dirty = guest.collect();
        for (int page = 0; page < PAGES; page++) {
          assertEquals(
              dirty.get(page),
              guest.anyHas(page, iteration),
              mode + ", seed " + seed + ", iteration " + iteration + ", page " + page);
        }
      }
      guest.checkFullExits(mode);
    }
  }

  /** Writes while the pages are collected. */
  @ParameterizedTest
  @EnumSource
  void guestRuns_cleanPageWithThisIteration_isDirtyInTheNext(Mode mode) throws Exception {
    long seed = System.nanoTime();
    String where = mode + ", seed " + seed;
    try (Fixture guest = new Fixture(mode)) {
      guest.vcpus.forEach(vcpu -> vcpu.program.mode(false, true));
      guest.order(1, vcpu -> new Random(seed + vcpu).longs(PAGES, 0, PAGES));
      List<CompletableFuture<Integer>> ends = guest.start();
      BitSet must = new BitSet(); // seen with a value that no collection has reported
      long[] seen = new long[PAGES * mode.vcpus];
      int found = 0;
      for (long iteration = 1; found < 3 * PAGES * mode.vcpus; iteration++) {
        for (KvmMachine.Cpu vcpu : guest.vcpus) {
          vcpu.program.iteration(iteration);
        }
        BitSet dirty = guest.collect();
        must.andNot(dirty);
        assertEquals(0, must.cardinality(), where + ", written and never reported");
        found += dirty.cardinality();
        for (int i = 0; i < seen.length; i++) {
          int page = i / mode.vcpus;
          long value = guest.valueOf(page, i % mode.vcpus);
          if (value != seen[i] && !dirty.get(page)) {
            must.set(page); // written after its place in this collection
          }
          seen[i] = value;
        }
        assertTrue(ends.stream().noneMatch(CompletableFuture::isDone), where);
      }
      for (KvmMachine.Cpu vcpu : guest.vcpus) {
        vcpu.runner.kick();
      }
      for (CompletableFuture<Integer> end : ends) {
        assertEquals(RunLayout.EXIT_INTR, end.get());
      }
      must.andNot(guest.collect());
      assertEquals(0, must.cardinality(), where + ", written and never reported");
    }
  }
}
