package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * vCPUs, the VM, and the log are closed beside takes, full rings, pauses and changes of slots: what
 * was written before is found, and nobody waits any more. {@code -Dsmudge.closing.seconds} makes it
 * longer.
 */
@RequiresKvm
@Timeout(600)
class ClosingTest {
  private static final long SECONDS = Long.getLong("smudge.closing.seconds", 2);
  private static final long BASE = GuestMachine.BASE;
  private static final int PAGE = GuestMachine.PAGE;
  private static final int PAGES = 512;
  private static final int SPLIT = 200; // slot 2 begins there, when there is one

  /** A guest whose vCPUs write all pages for ever, each its own eight bytes. */
  private static final class Fixture implements AutoCloseable {
    final KvmMachine machine;
    final MemorySegment ram;
    final DirtyClient<GuestSlot> client;
    final List<KvmMachine.Cpu> vcpus;
    final List<CompletableFuture<Integer>> ends = new ArrayList<>();
    private final long[] seen;
    private final BitSet must = new BitSet(); // seen with a value that no take has reported
    private boolean isSplit;

    Fixture(int ring) {
      machine = new KvmMachine(ring, true, DirtyLog.builder());
      vcpus = List.of(machine.first, machine.addVcpu(1));
      GuestSlot slot = machine.memory().addSlot(1, BASE, machine.ram(PAGES), PAGE);
      ram = slot.ram();
      client = machine.memory().client("c", InitialView.NONE_DIRTY);
      seen = new long[PAGES * vcpus.size()];
      for (int vcpu = 0; vcpu < vcpus.size(); vcpu++) {
        long base = BASE + (long) vcpu * Long.BYTES;
        KvmMachine.Cpu cpu = vcpus.get(vcpu);
        cpu.program.mode(false, true);
        cpu.program.list(LongStream.range(0, PAGES).map(page -> base + page * PAGE).toArray());
        cpu.program.iteration(1);
        ends.add(cpu.start());
      }
    }

    void iteration(long value) {
      vcpus.forEach(vcpu -> vcpu.program.iteration(value));
    }

    boolean isOver() {
      return ends.stream().allMatch(CompletableFuture::isDone);
    }

    void splitOrMerge() {
      try (var change = machine.memory().beginTransaction()) {
        (isSplit ? change.merge(1, 2) : change.split(1, (long) SPLIT * PAGE, 2)).commit();
      }
      isSplit = !isSplit;
    }

    /** Takes; a page that changed after its place in the take before has to be in this one. */
    void take(String where) {
      BitSet dirty = new BitSet();
      for (String page : GuestMachine.take(client)) {
        int index = Integer.parseInt(page.substring(2));
        dirty.set(page.startsWith("2:") ? SPLIT + index : index);
      }
      must.andNot(dirty);
      assertEquals("{}", must.toString(), where + ": written and never reported");
      for (int i = 0; i < seen.length; i++) {
        int page = i / vcpus.size();
        long offset = (long) page * PAGE + (long) (i % vcpus.size()) * Long.BYTES;
        long value = ram.get(ValueLayout.JAVA_LONG, offset);
        if (value != seen[i] && !dirty.get(page)) {
          must.set(page);
        }
        seen[i] = value;
      }
    }

    @Override
    public void close() {
      machine.close();
    }
  }

  /** The holder of the pause lives, and may read RAM still: the guest must not run in it. */
  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void close_logWhileAVcpuWaitsInAPause_itIsToldAndHasNotRun(int ring) throws Exception {
    try (Fixture guest = new Fixture(ring);
        ExecutorService holder = Executors.newSingleThreadExecutor()) {
      VcpuPause pause = holder.submit(guest.machine.memory().log()::pause).get();
      long rounds = guest.vcpus.get(0).program.rounds();
      for (CompletableFuture<Integer> end : guest.ends) {
        assertFalse(end.isDone(), "it waits");
      }
      guest.machine.memory().close(); // at once: nobody waits for the holder
      for (CompletableFuture<Integer> end : guest.ends) {
        ExecutionException e = assertThrows(ExecutionException.class, end::get);
        assertTrue(e.getCause() instanceof VcpuException, e::toString);
        assertTrue(e.toString().contains("is closed"), e::toString);
      }
      assertEquals(rounds, guest.vcpus.get(0).program.rounds());
      holder.submit(pause::close).get();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void close_vcpusBesideTakesAndChanges_whatTheyWroteIsFound(int ring) throws Exception {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    long end = System.nanoTime() + Duration.ofSeconds(SECONDS).toNanos();
    do {
      String where = "ring " + ring + ", seed " + seed;
      try (Fixture guest = new Fixture(ring)) {
        long[] delays = random.longs(2, 0, 10_000_000).toArray();
        CompletableFuture<Void> closer =
            CompletableFuture.runAsync(() -> {
              for (int vcpu : new int[] {1, 0}) {
                LockSupport.parkNanos(delays[vcpu]); // any time will do
                guest.vcpus.get(vcpu).vcpu.close();
              }
            });
        for (int i = 2; !(guest.isOver() && closer.isDone()); i++) {
          guest.iteration(i);
          guest.take(where);
          if (random.nextBoolean()) {
            guest.splitOrMerge();
          }
        }
        closer.get();
        guest.take(where);
        guest.take(where); // nothing has changed after the last
      }
    } while (System.nanoTime() < end);
  }

  @Test
  void close_vmWithRingsUnderARunningGuest_whatItWroteIsFound() {
    for (int round = 0; round < 20; round++) {
      try (Fixture guest = new Fixture(256)) {
        guest.take("before");
        guest.iteration(2);
        long until = guest.vcpus.get(0).program.rounds() + 1;
        while (guest.vcpus.get(0).program.rounds() < until) {
          Thread.onSpinWait();
        }
        guest.machine.vm.close();
        guest.take("after");
        guest.take("at last");
      }
    }
  }

  @Test
  void close_vmWithBitmaps_nextTakeSaysThatItIsClosed() {
    try (Fixture guest = new Fixture(0)) {
      guest.machine.vm.close();
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> GuestMachine.take(guest.client));
      assertTrue(e.toString().contains("the VM is closed"), e::toString);
    }
  }
}
