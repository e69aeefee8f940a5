package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.linux.KickSignal;
import dev.smudge.linux.Libc;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testkit.GuestMachine;
import java.util.BitSet;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A reset that a signal cuts short is gone on with, until all is given back. */
@RequiresKvm
@Timeout(300)
class ResetSignalTest {
  private static final int ENTRIES = 4096;
  private static final int PAGES = 3000;
  private static final int ROUNDS = 20;
  private static final int MOST_WITHOUT_PAUSE = 20_000;
  private static final long PAUSE_NANOS = 20_000; // else the thread does nothing but handle them

  /**
   * The thread that makes this gets signals all the time. Without a pause they are so many that it
   * may do nothing but handle them; so their number is limited then, and the thread goes on.
   */
  private static final class Signals implements AutoCloseable {
    private volatile boolean over;
    private final Thread thread;

    Signals(long pauseNanos) {
      long target = Libc.currentThread();
      thread =
          Thread.ofPlatform()
              .daemon()
              .start(() -> {
                for (int sent = 0; !over && (pauseNanos > 0 || sent < MOST_WITHOUT_PAUSE); sent++) {
                  KickSignal.send(target);
                  if (pauseNanos > 0) {
                    LockSupport.parkNanos(pauseNanos);
                  }
                }
              });
    }

    @Override
    public void close() {
      over = true;
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }

  /**
   * The kernel joins entries of neighbouring pages, and forgets those that it has joined when a
   * signal ends the reset: their entries are given back, and their pages not armed.
   */
  @Test
  @SuppressWarnings("try") // signals
  void resetDirtyRings_signalIsWaiting_endsEarlyAndLosesPages() {
    int cutShort = 0;
    int lost = 0;
    try (KvmGuest guest = new KvmGuest(PAGES, KvmGuest.ring(ENTRIES)).log()) {
      HarvestedPages pages = guest.vcpu.ring().newHarvest();
      for (int round = 1; round <= ROUNDS; round++) {
        guest.write(round, KvmGuest.range(0, PAGES));
        int harvested = guest.vcpu.ring().harvester().harvest(pages);
        try (Signals signals = new Signals(0)) {
          for (int given = guest.vm.resetOnce(); given < harvested; cutShort++) {
            given += guest.vm.resetOnce();
          }
        }
        guest.vcpu.ring().resetter().noteResets();
        BitSet found = new BitSet();
        pages.forEachPage(() -> {}, (slot, page) -> found.set((int) page));
        lost += PAGES - found.cardinality();
      }
    }
    Assumptions.assumeTrue(lost > 0, cutShort + " resets cut short, no page lost");
  }

  @Test
  @SuppressWarnings("try") // signals
  void take_signalsAllTheTime_findsAllThatWasWritten() {
    BitSet all = new BitSet();
    all.set(0, PAGES);
    long[] addresses =
        LongStream.range(0, PAGES)
            .map(page -> GuestMachine.BASE + page * GuestMachine.PAGE)
            .toArray();
    try (KvmMachine machine = new KvmMachine(ENTRIES, true, DirtyLog.builder())) {
      machine.memory().addSlot(1, GuestMachine.BASE, machine.ram(PAGES), GuestMachine.PAGE);
      DirtyClient<LogSlot> client = machine.memory().log().client("c", InitialView.NONE_DIRTY);
      for (int round = 1; round <= ROUNDS; round++) {
        machine.write(round, addresses);
        try (Signals signals = new Signals(PAUSE_NANOS)) {
          assertEquals(all, take(client));
        }
      }
      assertEquals(new BitSet(), take(client));
    }
  }

  private static BitSet take(DirtyClient<LogSlot> client) {
    BitSet found = new BitSet();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((in, page, count) -> found.set((int) page, (int) (page + count)));
      batch.commit();
    }
    return found;
  }
}
