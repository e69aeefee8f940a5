package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Write watches beside the collector lock, and many threads that arm, open and close them. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class WriteWatchLockTest extends WriteWatchCase {
  private static final int PAGES = 100;

  WriteWatchLockTest(Mode mode) {
    super(mode.builder(), PAGES);
  }

  /** A device of which the test says what it does when it is asked. */
  private Registration device(Runnable whenAsked) {
    return log.addTracker(
        0,
        new Tracker() {
          @Override
          public SlotTracker newSlot(TrackedSlot of) {
            return new SlotTracker() {
              @Override
              public void collect(PageWordConsumer sink) {
                whenAsked.run();
              }
            };
          }
        });
  }

  @Test
  void deviceThatClosesAWatchUnderTheLock_isRefused_andNothingIsChanged() {
    PageWatch watch = log.watchPages(slot, this::tell);
    List<RuntimeException> thrown = new ArrayList<>();
    boolean[] on = {true};
    try (Registration device =
        device(() -> {
          if (on[0]) {
            on[0] = false;
            thrown.add(assertThrows(IllegalStateException.class, watch::close));
            thrown.add(
                assertThrows(IllegalStateException.class, () -> log.watchPages(slot, this::tell)));
          }
        })) {
      assertNotNull(device);
      log.sync();
      assertEquals(List.of(), reported);
      assertEquals(2, thrown.size());
      assertFalse(watch.isEnded());
      watch.arm(0, 1);
      vcpu.mark(slot, 0, 1);
      assertTold("0+1");
      watch.close();
    }
  }

  /** A listener that is called under the collector lock does not wait for vCPUs there. */
  @Test
  void deviceThatMarksUnderTheLock_itsListenerMayNotArm() {
    List<Throwable> thrown = new ArrayList<>();
    @Nullable PageWatch[] watch = new PageWatch[1];
    int[] barriers = new int[1];
    watch[0] =
        log.watchPages(
            slot,
            (at, length) -> {
              int before = tracker.barriers.get();
              try {
                watch[0].arm(0, 1);
              } catch (IllegalStateException e) {
                thrown.add(e);
              }
              barriers[0] += tracker.barriers.get() - before;
            });
    watch[0].arm(0, 1);
    try (Registration device = device(() -> log.mark(slot, 0, 1))) {
      assertNotNull(device);
      log.sync();
      assertEquals(List.of(), reported);
      assertFalse(thrown.isEmpty());
      assertEquals(0, barriers[0]);
    }
    watch[0].close();
  }

  /** A watch is closed while its listener is about to be called under the collector lock. */
  @Test
  void watchThatIsClosedBesideAMarkUnderTheLock_noDeadlock() {
    try (GuestThread closer = new GuestThread("closer")) {
      PageWatch[] watches = new PageWatch[2];
      List<Future<?>> closed = new ArrayList<>();
      Thread[] thread = new Thread[1];
      closer.run(() -> thread[0] = Thread.currentThread());
      watches[0] =
          log.watchPages(
              slot,
              (at, length) -> {
                if (!closed.isEmpty()) {
                  return;
                }
                try {
                  watches[0].close(); // then the other is the last
                } catch (IllegalStateException e) {
                  assertNotNull(e);
                }
                closed.add(closer.begin(() -> watches[1].close()));
                GuestThread.await(() -> closed.get(0).isDone() || isClosing(thread[0]));
              });
      watches[1] = log.watchPages(slot, this::tell);
      watches[0].arm(0, 1);
      watches[1].arm(0, 1);
      boolean[] on = {true};
      try (Registration device =
          device(() -> {
            if (on[0]) {
              on[0] = false;
              log.mark(slot, 0, 1);
            }
          })) {
        assertNotNull(device);
        log.sync();
        GuestThread.end(closed.get(0));
      }
      watches[0].close();
    }
  }

  private static boolean isClosing(Thread thread) {
    return thread.getState() == Thread.State.WAITING
        && Arrays.stream(thread.getStackTrace()).anyMatch(f -> f.getMethodName().equals("close"));
  }

  /** Two threads that arm, both online as vCPUs, and a third that opens and closes watches. */
  @Test
  void vcpusThatArmBesideOthersThatOpenAndClose_end() throws Exception {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(700);
    try (GuestThread one = new GuestThread("one");
        GuestThread two = new GuestThread("two");
        GuestThread three = new GuestThread("three")) {
      PageWatch shared = log.watchPages(slot, (at, length) -> {});
      List<Future<?>> all = new ArrayList<>();
      for (GuestThread thread : List.of(one, two)) {
        all.add(
            thread.begin(() -> {
              try (LogVcpu mine = log.addVcpu()) {
                while (System.nanoTime() < end) {
                  shared.arm(0, 4 * PAGE);
                  mine.mark(slot, 0, 1);
                  mine.mark(slot, PAGE, 1);
                  mine.safepoint();
                }
              }
            }));
      }
      all.add(
          three.begin(() -> {
            while (System.nanoTime() < end) {
              try (DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
                  WriteWatch watch = log.watchBytes(slot, 0, 1, (at, length) -> {})) {
                assertFalse(watch.isEnded());
                client.take().close();
              }
            }
          }));
      for (Future<?> each : all) {
        each.get();
      }
      shared.close();
      assertEquals(List.of(), reported);
    }
  }
}
