package dev.smudge.sync.inhibitor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import dev.smudge.sync.inhibitor.AccessInhibitor.Hold;
import dev.smudge.testbase.StackSqueeze;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Threads that end inside or while they hold the inhibitor, and the close of an inhibitor or of an
 * access.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class InhibitorEndsTest extends AccessInhibitorCase {
  @Test
  void inhibit_threadEndedInside_countsAsOutsideAndIsReportedOnce() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Thread thread = new Thread(access::enter, "the late guest");
    thread.start();
    thread.join();
    inhibitor.inhibit().close();
    inhibitor.inhibit().close();
    assertEquals(0, kicks.get(), "no signal to a thread that is no more");
    assertEquals(1, errors.size());
    String message = String.valueOf(errors.element().getMessage());
    assertTrue(message.contains("the late guest") && message.contains("ended"), message);
    access.enter(); // the next one's now
    assertFails("Each thread needs one of its own", () -> guest.run(access::enter));
    access.leave();
    assertFails("not inside", access::leave);
    access.close();
    assertFails("closed", access::enter);
  }

  @Test
  void inhibit_threadEndsInsideWhileTheChangerSleeps_finishes() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    CountDownLatch die = new CountDownLatch(1);
    Thread late =
        new Thread(
            () -> {
              access.enter();
              try {
                die.await();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            },
            "the late guest");
    late.start();
    GuestThread.await(access::isInside);
    Thread thread = threadOf(changer);
    Future<?> inhibiting = changer.begin(() -> inhibitor.inhibit().close());
    awaitAsleep(thread);
    die.countDown();
    GuestThread.end(inhibiting);
    late.join();
    assertEquals(1, errors.size());
    assertEquals(1, kicks.get());
  }

  @Test
  void enterAndInhibit_holderHasEnded_failWithADiagnosisUntilItsHoldIsClosed() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    AtomicReference<Hold> hold = new AtomicReference<>();
    Thread late = new Thread(() -> hold.set(inhibitor.inhibit()), "the late changer");
    late.start();
    late.join();
    assertFails("the late changer", access::enter);
    assertFails("the late changer", inhibitor::inhibit);
    assertFalse(access.isInside(), "half of a change is never seen");
    Objects.requireNonNull(hold.get()).close();
    access.enter();
    access.leave();
    inhibitor.inhibit().close();
  }

  /** Nothing is changed in a pause: it ends with its thread, which is told once. */
  @Test
  void pause_holderHasEnded_isOverAndReportedOnce() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    List<Hold> holds = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      Thread late = new Thread(() -> holds.add(inhibitor.pause()), "the late holder");
      late.start();
      late.join();
      if (i == 0) {
        access.enter();
        access.leave();
      } else {
        inhibitor.inhibit().close();
      }
      assertEquals(i + 1, errors.size());
    }
    assertTrue(errors.element().toString().contains("the late holder"), errors::toString);
    try (Hold now = inhibitor.inhibit()) {
      holds.forEach(Hold::close); // late: it is another's by now
      assertTrue(inhibitor.isInhibited(), now::toString);
    }
    assertFalse(inhibitor.isInhibited());
  }

  @Test
  void close_inAPause_whoWaitsToEnterIsToldAndHasNotEntered() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    AtomicReference<Thread> waiter = new AtomicReference<>();
    Hold pause = GuestThread.end(changer.beginCall(inhibitor::pause));
    Future<?> enters =
        guest.begin(() -> {
          waiter.set(Thread.currentThread());
          access.enter();
        });
    GuestThread.await(() -> waiter.get() != null);
    awaitAsleep(Objects.requireNonNull(waiter.get()));
    inhibitor.close();
    assertFails("is closed", () -> GuestThread.end(enters));
    assertFalse(access.isInside(), "the pause may be read under still");
    inhibitor.pause().close(); // does not wait for that of another, nor end it
    guest.run(() -> assertFails("is closed", access::enter));
    changer.run(pause::close);
    inhibitor.close();
    guest.run(() -> {
      access.enter();
      access.leave();
      access.close();
    });
    assertEquals(0, errors.size(), errors::toString);
  }

  /** A change ends by itself; half of it must not be seen. */
  @Test
  void close_inAChange_whoWaitsToEnterGoesOnWaiting() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    AtomicReference<Thread> waiter = new AtomicReference<>();
    Hold hold = GuestThread.end(changer.beginCall(inhibitor::inhibit));
    inhibitor.close();
    Future<?> enters =
        guest.begin(() -> {
          waiter.set(Thread.currentThread());
          access.enter();
          access.leave();
        });
    GuestThread.await(() -> waiter.get() != null);
    awaitAsleep(Objects.requireNonNull(waiter.get()));
    assertFalse(enters.isDone());
    hold.close();
    GuestThread.end(enters);
  }

  @Test
  void inhibit_insideAPause_holderHasEnded_isNotOver() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    AtomicReference<Hold> change = new AtomicReference<>();
    Thread late =
        new Thread(() -> {
          assertNotNull(inhibitor.pause());
          change.set(inhibitor.inhibit());
        });
    late.start();
    late.join();
    assertFails("has ended and still holds accesses back", access::enter);
    assertNotNull(change.get());
  }

  @Test
  void enter_holderEndsMeanwhile_fails() throws Exception {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    CountDownLatch die = new CountDownLatch(1);
    Thread late =
        new Thread(
            () -> {
              assertNotNull(inhibitor.inhibit());
              try {
                die.await();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            },
            "the late changer");
    late.start();
    GuestThread.await(inhibitor::isInhibited);
    Future<?> entering = beginEnterAndWait(access);
    die.countDown();
    assertFails("the late changer", () -> GuestThread.end(entering));
    late.join();
  }

  @Test
  void close_whileItsKickIsUnderWay_waitsAndThereIsNoneAfterwards() {
    CountDownLatch kicked = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    AtomicBoolean freed = new AtomicBoolean();
    AtomicBoolean usedAfterFree = new AtomicBoolean();
    InhibitableAccess access =
        inhibitor.addAccess(() -> {
          kicked.countDown();
          try {
            goOn.await();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
          usedAfterFree.set(freed.get());
        });
    guest.run(access::enter);
    Future<?> inhibiting = changer.begin(() -> inhibitor.inhibit().close());
    Thread thread = threadOf(guest);
    Future<?> closing =
        guest.begin(() -> {
          kicked.await();
          access.leave(); // does not wait for the kick
          access.close();
          freed.set(true);
        });
    GuestThread.await(() -> thread.getState() == Thread.State.BLOCKED);
    goOn.countDown();
    GuestThread.end(inhibiting);
    GuestThread.end(closing);
    assertFalse(usedAfterFree.get());
  }

  /** A hold that nobody has cannot be closed. */
  @Test
  void inhibit_stackEnds_inhibitsNothing() {
    InhibitableAccess[] access = new InhibitableAccess[1];
    Hold[] hold = new Hold[1];
    StackSqueeze.squeeze(
        8, // steps per frame
        () -> {
          if (access[0] == null) {
            access[0] = inhibitor.addAccess(kicks::incrementAndGet); // this thread's
          }
          hold[0] = null;
        },
        () -> hold[0] = inhibitor.inhibit(),
        thrown -> {
          if (hold[0] != null) {
            hold[0].close();
          }
          access[0].enter();
          access[0].leave();
        });
  }

  @Test
  void enter_stackEndsWhileAccessesAreHeldBack_isOutside() {
    StackSqueeze.withSmallStack(() -> {
      InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
      access.enter();
      access.leave();
      Thread self = Thread.currentThread();
      int errors = 0;
      Throwable thrown;
      do {
        Hold[] hold = new Hold[1];
        changer.run(() -> hold[0] = inhibitor.inhibit());
        AtomicBoolean over = new AtomicBoolean();
        Future<?> closing =
            changer.begin(() -> {
              GuestThread.await(() -> over.get() || isAsleep(self));
              hold[0].close();
            });
        thrown = StackSqueeze.callAbove(errors, access::enter);
        over.set(true);
        GuestThread.end(closing);
        if (thrown != null) {
          errors++;
          changer.run(() -> inhibitor.inhibit().close()); // does not wait for it
        }
      } while (thrown != null);
      assertTrue(errors > 5, errors + " errors");
    });
  }
}
