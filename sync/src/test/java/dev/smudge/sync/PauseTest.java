package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Pauses stop every vCPU between two blocks, and end or fail with a diagnosis. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class PauseTest extends BarrierCase {
  PauseTest(Mode mode) {
    super(mode);
  }

  @Test
  void pause_vcpuRuns_stopsItBetweenBlocksUntilClosed() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean stop = new AtomicBoolean();
      AtomicInteger blocks = new AtomicInteger();
      AtomicBoolean inBlock = new AtomicBoolean();
      Future<?> running =
          guest.begin(() -> {
            while (!stop.get()) {
              vcpu.safepoint();
              inBlock.set(true);
              blocks.incrementAndGet();
              inBlock.set(false);
            }
            vcpu.close();
          });
      for (int i = 0; i < 200; i++) {
        int before;
        try (VcpuPause pause = log.pause()) {
          assertNotNull(pause);
          assertFalse(inBlock.get());
          before = blocks.get();
          for (int k = 0; k < 100; k++) {
            log.barrier();
          }
          assertEquals(before, blocks.get());
        }
        GuestThread.await(() -> blocks.get() > before);
      }
      stop.set(true);
      GuestThread.end(running);
    }
  }

  @Test
  void pause_vcpuGoesToWait_isNotSeenOnlineAgain() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean stop = new AtomicBoolean();
      Future<?> running = guest.begin(() -> runBlocks(vcpu, stop));
      for (int i = 0; i < 3_000; i++) {
        GuestThread.await(() -> !vcpu.state().isOffline());
        try (VcpuPause pause = log.pause()) {
          assertNotNull(pause);
          for (int k = 0; k < 200; k++) {
            assertTrue(vcpu.state().isOffline());
          }
        }
      }
      stop.set(true);
      GuestThread.end(running);
    }
  }

  @Test
  void closeOfAPause_twiceWhileAnotherHasBegun_leavesTheOtherAlone() {
    VcpuPause first = log.pause();
    first.close();
    VcpuPause second = log.pause();
    first.close();
    assertThrows(VcpuException.class, log::pause); // the second is on
    second.close();
    log.pause().close();
  }

  @Test
  void pause_vcpuComesOnlineMeanwhile_waitsUntilItIsClosed() {
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu vcpu = log.addVcpu();
      AtomicBoolean ran = new AtomicBoolean();
      Future<?> coming;
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        coming =
            guest.begin(() -> {
              vcpu.online();
              ran.set(true);
              vcpu.close();
            });
        for (int k = 0; k < 1000; k++) {
          log.barrier();
        }
        assertFalse(ran.get());
      }
      GuestThread.end(coming);
      assertTrue(ran.get());
    }
  }

  @Test
  void bug07_secondPauseByTheSameThread_failsFastAndTheFirstGoesOn() {
    LogVcpu vcpu = log.addVcpu();
    for (boolean online : new boolean[] {false, true}) {
      if (online) {
        vcpu.online();
      }
      try (VcpuPause pause = log.pause()) {
        assertNotNull(pause);
        VcpuException e = assertThrows(VcpuException.class, log::pause);
        assertTrue(
            String.valueOf(e.getMessage()).contains(Thread.currentThread().getName()),
            e.getMessage());
        assertThrows(VcpuException.class, log::seal);
      }
      log.pause().close();
    }
  }

  @Test
  void bug07_pauseHolderBringsAVcpuOnline_failsFast() {
    LogVcpu vcpu = log.addVcpu();
    LogVcpu own = log.addVcpu();
    try (VcpuPause pause = log.pause()) {
      assertNotNull(pause);
      VcpuException e = assertThrows(VcpuException.class, () -> vcpu.online());
      assertTrue(String.valueOf(e.getMessage()).contains("vCPU 0"), e.getMessage());
      assertThrows(VcpuException.class, vcpu::safepoint);
      assertThrows(VcpuException.class, () -> vcpu.mark(slot, 0, 1));
      assertTrue(vcpu.state().isOffline());
    }
    vcpu.safepoint();
    vcpu.offline();
    own.online();
    try (VcpuPause pause = log.pause()) {
      assertNotNull(pause);
      own.safepoint(); // it holds the pause: it runs
      own.offline();
      own.online();
      own.offline();
      assertThrows(VcpuException.class, () -> vcpu.online());
    }
  }

  @Test
  void bug07_pauseHeldByAnother_secondFailsNamingTheHolderAndItsStack() {
    DirtyLog quick = impatient();
    try (GuestThread holder = new GuestThread("pause holder")) {
      VcpuPause held = GuestThread.end(holder.beginCall(quick::pause));
      CountDownLatch latch = new CountDownLatch(1);
      Future<?> busy = holder.begin(() -> blockedInHostCall(new CountDownLatch(1), latch));
      VcpuTimeoutException e = assertThrows(VcpuTimeoutException.class, quick::pause);
      assertTrue(String.valueOf(e.getMessage()).contains("pause holder"), e.getMessage());
      assertNotNull(e.getCause());
      latch.countDown();
      GuestThread.end(busy);
      held.close();
      quick.pause().close();
    }
  }
}
