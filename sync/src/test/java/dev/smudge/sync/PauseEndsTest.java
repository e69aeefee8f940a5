package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** A pause whose holder dies, or forgets it, and one that is on when the log is closed. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class PauseEndsTest {
  private final Queue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final AtomicInteger armed = new AtomicInteger();
  private final AtomicBoolean armFails = new AtomicBoolean();
  private final Mode mode;
  private final DirtyLog log;
  private final LogVcpu vcpu;
  private final GuestThread guest = new GuestThread("guest");
  private final GuestThread holder = new GuestThread("holder");

  PauseEndsTest(Mode mode) {
    this.mode = mode;
    log = mode.builder().errorHandler(errors::add).build();
    vcpu =
        log.addVcpu(() -> {
          armed.incrementAndGet();
          if (armFails.get()) {
            throw new IllegalStateException("planted");
          }
        });
  }

  @AfterEach
  void close() {
    guest.close();
    holder.close();
  }

  private Thread pauseAndDie() throws InterruptedException {
    Thread dies = new Thread(log::pause, "dead holder");
    dies.start();
    dies.join();
    return dies;
  }

  @Test
  void holderHasDied_vcpuGoesOnAndItIsReportedOnce() throws Exception {
    pauseAndDie();
    guest.run(vcpu::safepoint);
    assertEquals(1, errors.size());
    String message = String.valueOf(errors.element().getMessage());
    assertTrue(message.contains("dead holder"), message);
    guest.run(vcpu::close);
    log.pause().close();
    assertEquals(1, errors.size());
  }

  @Test
  void holderDies_whileVcpusWait_allGoOnAndItIsReportedOnce() throws Exception {
    CountDownLatch paused = new CountDownLatch(1);
    CountDownLatch die = new CountDownLatch(1);
    Thread dies =
        new Thread(() -> {
          log.pause();
          paused.countDown();
          GuestThread.await(die);
        });
    dies.start();
    paused.await();
    LogVcpu second = log.addVcpu();
    Future<?> waits = guest.begin(vcpu::safepoint);
    Future<?> waitsToo = holder.begin(second::safepoint);
    GuestThread.await(() -> vcpu.state().owner() != null && second.state().owner() != null);
    assertFalse(waits.isDone() || waitsToo.isDone());
    die.countDown();
    GuestThread.end(waits);
    GuestThread.end(waitsToo);
    assertEquals(1, count("has ended and has not closed"));
    guest.run(vcpu::close);
    holder.run(second::close);
    dies.join();
  }

  private long count(String part) {
    return errors.stream().filter(e -> String.valueOf(e.getMessage()).contains(part)).count();
  }

  @Test
  void holderHasDied_anotherPause_isTakenAndItIsReported() throws Exception {
    pauseAndDie();
    Future<?> waits;
    try (VcpuPause mine = log.pause()) {
      assertNotNull(mine);
      assertEquals(1, count("dead holder"));
      waits = guest.begin(vcpu::safepoint);
      GuestThread.await(() -> vcpu.state().owner() != null);
      assertFalse(waits.isDone(), "stopped by this pause");
    }
    GuestThread.end(waits);
    guest.run(vcpu::close);
  }

  private static void forgetsIt(CountDownLatch inside, CountDownLatch latch) {
    inside.countDown();
    GuestThread.await(latch);
  }

  @Test
  void holderForgetsIt_vcpuTellsOnceAndGoesOnWaiting() {
    DirtyLog impatient =
        mode.builder().timeout(Duration.ofMillis(200)).errorHandler(errors::add).build();
    LogVcpu its = impatient.addVcpu();
    CountDownLatch goOn = new CountDownLatch(1);
    VcpuPause pause = GuestThread.end(holder.beginCall(impatient::pause));
    CountDownLatch inside = new CountDownLatch(1);
    Future<?> forgets = holder.begin(() -> forgetsIt(inside, goOn));
    GuestThread.await(inside);
    Future<?> waits = guest.begin(its::safepoint);
    GuestThread.await(() -> !errors.isEmpty());
    Throwable told = errors.element();
    String message = String.valueOf(told.getMessage());
    assertEquals(VcpuTimeoutException.class, told.getClass());
    assertTrue(message.contains("vCPU 0") && message.contains("holder"), message);
    Throwable stack = told.getCause();
    assertNotNull(stack);
    assertTrue(
        Arrays.toString(stack.getStackTrace()).contains("forgetsIt"),
        () -> Arrays.toString(stack.getStackTrace()));
    assertFalse(waits.isDone());
    goOn.countDown();
    GuestThread.end(forgets);
    pause.close();
    GuestThread.end(waits);
    assertEquals(1, errors.size());
    guest.run(its::close);
  }

  @Test
  void logIsClosed_vcpuThatWaits_isToldAndOfflineWithNothingToWriteBy() {
    guest.run(() -> {
      vcpu.online();
      vcpu.offline();
    });
    VcpuPause pause = GuestThread.end(holder.beginCall(log::pause));
    Future<?> waits = guest.begin(vcpu::safepoint);
    GuestThread.await(() -> vcpu.state().owner() != null);
    int before = armed.get();
    log.close();
    VcpuException e = assertThrows(VcpuException.class, () -> GuestThread.end(waits));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("closed") && message.contains("holder"), message);
    assertTrue(armed.get() > before, "the arm callback has run");
    assertTrue(vcpu.state().isOffline());
    guest.run(() -> assertFalse(vcpu.isOnlineHere()));
    assertThrows(VcpuException.class, log::pause);
    pause.close();
    guest.run(vcpu::online);
    guest.run(vcpu::close);
    assertEquals(0, errors.size(), errors::toString);
  }

  /** The pause's request is taken away by a safepoint that the arm callback cuts short. */
  @Test
  void armCallbackThrows_pauseIsOn_theNextSafepointStops() {
    guest.run(vcpu::online);
    armFails.set(true);
    log.collector.vcpus().handshake().pagesArmed();
    Future<VcpuPause> pausing = holder.beginCall(log::pause);
    GuestThread.await(vcpu.state()::isAsked);
    guest.run(() -> assertThrows(IllegalStateException.class, vcpu::safepoint));
    armFails.set(false);
    Future<?> stops = guest.begin(vcpu::safepoint);
    VcpuPause pause = GuestThread.end(pausing);
    assertFalse(stops.isDone());
    pause.close();
    GuestThread.end(stops);
    guest.run(vcpu::close);
  }

  /** Its own vCPU is online again before the others have stopped. */
  @Test
  void pauseByAVcpu_itsArmCallbackThrows_nothingIsPaused() {
    guest.run(vcpu::online);
    armFails.set(true);
    log.collector.vcpus().handshake().pagesArmed();
    guest.run(() -> assertThrows(IllegalStateException.class, log::pause));
    armFails.set(false);
    guest.run(vcpu::offline);
    GuestThread.end(holder.begin(() -> log.pause().close()));
    guest.run(vcpu::close);
  }

  @Test
  void interrupted_whileItWaitsInAPause_waitsAsleepAndStaysInterrupted() {
    VcpuPause pause = GuestThread.end(holder.beginCall(log::pause));
    List<Thread> thread = new ArrayList<>();
    guest.run(() -> thread.add(Thread.currentThread()));
    Future<Boolean> waits =
        guest.beginCall(() -> {
          Thread.currentThread().interrupt();
          vcpu.safepoint();
          return Thread.interrupted();
        });
    Sleepers.assertSleeps(thread.get(0));
    thread.get(0).interrupt();
    Sleepers.assertSleeps(thread.get(0));
    assertFalse(waits.isDone());
    pause.close();
    assertTrue(GuestThread.end(waits));
    guest.run(vcpu::close);
  }
}
