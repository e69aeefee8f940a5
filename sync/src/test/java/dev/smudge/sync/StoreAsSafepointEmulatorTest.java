package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Embedder shape 3: the only hook is the memory interface; each store and load is a safepoint. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class StoreAsSafepointEmulatorTest {
  private static final int PAGE = 64;
  private static final int PAGES = 200;

  private final Mode mode;

  StoreAsSafepointEmulatorTest(Mode mode) {
    this.mode = mode;
  }

  /** The memory interface: what an embedder writes. */
  private static final class Memory {
    final long[] cells = new long[PAGES * PAGE / 8];
    private final LogSlot slot;
    private final LogVcpu vcpu;

    Memory(DirtyLog log) {
      slot = log.addSlot(0, PAGES, PAGE);
      vcpu = log.addVcpu();
    }

    void writeLong(int address, long value) {
      vcpu.safepoint(); // every earlier store is complete
      cells[address / 8] = value;
      vcpu.mark(slot, address, 8);
    }

    long readLong(int address) {
      vcpu.safepoint();
      return cells[address / 8];
    }

    void hostCall(Runnable call) {
      vcpu.offline();
      call.run();
      vcpu.online();
    }
  }

  private static void read(DirtyClient<LogSlot> client, long[] cells, long[] copy) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          System.arraycopy(
              cells, (int) first * PAGE / 8, copy, (int) first * PAGE / 8, (int) count * PAGE / 8));
      batch.commit();
    }
  }

  @Test
  void migrate_guestStoresLoadsAndCallsTheHost_copyEqualsRam() {
    DirtyLog log = mode.log();
    Memory memory = new Memory(log);
    DirtyClient<LogSlot> client = log.client("migration", InitialView.ALL_DIRTY);
    long[] copy = new long[memory.cells.length];
    AtomicInteger rounds = new AtomicInteger();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            SplittableRandom random = new SplittableRandom(1);
            long sum = 0;
            for (int i = 0; i < 1_000_000 || rounds.get() < 100; i++) {
              int address = random.nextInt(memory.cells.length) * 8;
              sum += memory.readLong(address);
              memory.writeLong(address, sum + i);
              if (i % 10_000 == 0) {
                long before = sum;
                memory.hostCall(() -> assertTrue(before != Long.MIN_VALUE));
              }
            }
            memory.vcpu.close();
          });
      while (!running.isDone()) {
        read(client, memory.cells, copy);
        rounds.incrementAndGet();
      }
      GuestThread.end(running);
    }
    read(client, memory.cells, copy);
    for (int i = 0; i < copy.length; i++) {
      assertEquals(memory.cells[i], copy[i], "cell " + i);
    }
  }

  @Test
  void take_guestLoopsOverLoadsAlone_isNotHeldUp() {
    DirtyLog log = mode.log();
    Memory memory = new Memory(log);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            memory.writeLong(0, 1);
            while (!stop.get()) {
              assertEquals(1, memory.readLong(0));
            }
            memory.vcpu.close();
          });
      for (int i = 0; i < 100; i++) {
        client.take().close();
      }
      stop.set(true);
      GuestThread.end(running);
    }
  }
}
