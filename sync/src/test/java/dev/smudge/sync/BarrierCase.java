package dev.smudge.sync;

import java.time.Duration;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/** A log with one slot, in which vCPUs are waited for. */
abstract class BarrierCase {
  static final int PAGE = 4096;
  final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  final Mode mode;
  final DirtyLog log;
  final LogSlot slot;

  BarrierCase(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().errorHandler(errors::add).build();
    this.slot = log.addSlot(0, 100, PAGE);
  }

  /** A guest that runs empty blocks until it is told to stop. */
  static void runBlocks(LogVcpu vcpu, AtomicBoolean stop) {
    while (!stop.get()) {
      vcpu.safepoint();
    }
    vcpu.offline();
  }

  DirtyLog impatient() {
    return mode.builder().timeout(Duration.ofMillis(30)).build();
  }

  static void blockedInHostCall(CountDownLatch inside, CountDownLatch latch)
      throws InterruptedException {
    inside.countDown(); // here, for the stack that is looked at from now on
    latch.await();
  }
}
