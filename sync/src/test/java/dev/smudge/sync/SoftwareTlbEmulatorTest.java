package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Embedder shape 1: own RAM, a write TLB, raw stores; flushed in the arm callback. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SoftwareTlbEmulatorTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 300;

  private final Mode mode;

  SoftwareTlbEmulatorTest(Mode mode) {
    this.mode = mode;
  }

  /** The emulator: what an embedder writes. */
  private static final class Emulator {
    final byte[] ram = new byte[PAGES * PAGE];
    private final boolean[] writeTlb = new boolean[PAGES];
    private final LogSlot slot;
    private final LogVcpu vcpu;
    long slowStores;

    Emulator(DirtyLog log, boolean flush) {
      slot = log.addSlot(0, PAGES, PAGE);
      vcpu = log.addVcpu(flush ? this::dropWriteEntries : () -> {});
    }

    private void dropWriteEntries() {
      Arrays.fill(writeTlb, false);
    }

    void store(int address, byte value) {
      if (writeTlb[address / PAGE]) {
        ram[address] = value; // raw: nothing is marked
      } else {
        slowStores++;
        ram[address] = value;
        vcpu.mark(slot, address, 1);
        writeTlb[address / PAGE] = true;
      }
    }

    void storeInt(int address, int value) { // may cross a page: always slow
      for (int i = 0; i < 4; i++) {
        ram[address + i] = (byte) (value >>> (8 * i));
      }
      vcpu.mark(slot, address, 4);
    }

    void block(SplittableRandom random) {
      for (int i = 0; i < 64; i++) {
        if (random.nextInt(8) == 0) {
          storeInt(random.nextInt(ram.length - 3), random.nextInt());
        } else {
          store(random.nextInt(ram.length), (byte) random.nextInt());
        }
      }
      vcpu.safepoint();
    }
  }

  private static void read(DirtyClient<LogSlot> client, byte[] ram, byte[] copy) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          System.arraycopy(ram, (int) first * PAGE, copy, (int) first * PAGE, (int) count * PAGE));
      batch.commit();
    }
  }

  /** Runs a guest under a collector; returns the pages that differ in the end. */
  private int migrate(boolean flush) {
    DirtyLog log = mode.log();
    Emulator emulator = new Emulator(log, flush);
    DirtyClient<LogSlot> migration = log.client("migration", InitialView.ALL_DIRTY);
    byte[] copy = new byte[PAGES * PAGE];
    AtomicInteger rounds = new AtomicInteger();
    try (GuestThread guest = new GuestThread("guest")) {
      Future<?> running =
          guest.begin(() -> {
            SplittableRandom random = new SplittableRandom(1);
            emulator.vcpu.safepoint();
            for (int block = 0; block < 20_000 || rounds.get() < 50; block++) {
              emulator.block(random);
            }
            // All pages are taken once more while the guest writes nothing; then raw stores.
            for (int before = rounds.get(); rounds.get() < before + 2; ) {
              emulator.vcpu.safepoint();
            }
            for (int p = 0; p < PAGES; p++) {
              emulator.store(p * PAGE + 5, (byte) (1 + emulator.ram[p * PAGE + 5]));
            }
            emulator.vcpu.offline();
          });
      while (!running.isDone()) {
        read(migration, emulator.ram, copy);
        rounds.incrementAndGet();
      }
      GuestThread.end(running);
      read(migration, emulator.ram, copy);
      assertTrue(emulator.slowStores > 0);
    }
    int different = 0;
    for (int p = 0; p < PAGES; p++) {
      int from = p * PAGE;
      if (!Arrays.equals(copy, from, from + PAGE, emulator.ram, from, from + PAGE)) {
        different++;
      }
    }
    return different;
  }

  @Test
  void migrate_writeTlbDroppedInTheArmCallback_copyEqualsRam() {
    for (int i = 0; i < 5; i++) {
      assertEquals(0, migrate(true));
    }
  }

  @Test
  void weakenedWithoutFlush_migrate_pagesAreMissed() {
    assertEquals(PAGES, migrate(false), "all that was stored through the stale entries");
  }
}
