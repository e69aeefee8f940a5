package dev.smudge.sync.inhibitor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import dev.smudge.sync.Sleepers;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.inhibitor.AccessInhibitor.Hold;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Every wait of the inhibitor ends, or fails with a diagnosis. docs/bugs.md row 7 and 27 in its
 * terms.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class AccessInhibitorTest extends AccessInhibitorCase {
  @Test
  void create_badTimeout_isRefused() {
    for (Duration bad : List.of(Duration.ZERO, Duration.ofMillis(-1), Duration.ofDays(2))) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> AccessInhibitor.create(bad, errors::add));
      assertTrue(String.valueOf(e.getMessage()).contains(bad.toString()), e.getMessage());
    }
    assertNotNull(AccessInhibitor.create());
  }

  @Test
  void inhibit_nobodyInside_kicksNobodyAndReturns() {
    inhibitor.addAccess(kicks::incrementAndGet);
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    access.enter();
    access.leave();
    inhibitor.inhibit().close();
    assertEquals(0, kicks.get());
    access.enter();
    access.leave();
  }

  @Test
  void inhibit_oneInside_kicksItOnceAndSleepsUntilItHasLeft() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    guest.run(access::enter);
    guest.run(access::enter);
    Thread thread = threadOf(changer);
    AtomicReference<Hold> hold = new AtomicReference<>();
    Future<?> inhibiting = changer.begin(() -> hold.set(inhibitor.inhibit()));
    awaitAsleep(thread);
    guest.run(access::leave);
    awaitAsleep(thread);
    assertFalse(inhibiting.isDone(), "it has entered twice");
    guest.run(access::enter); // nested: does not wait
    guest.run(access::leave);
    guest.run(access::leave);
    GuestThread.end(inhibiting);
    assertEquals(1, kicks.get());
    Future<?> entering = beginEnterAndWait(access);
    assertFalse(entering.isDone());
    Objects.requireNonNull(hold.get()).close();
    GuestThread.end(entering);
    assertEquals(1, kicks.get());
  }

  @Test
  void inhibit_kickOfAVcpuThatHasEnteredAndNotYetReachedTheRun_makesItLeave() {
    // immediate_exit, and a signal that is lost when nothing runs.
    AtomicBoolean immediateExit = new AtomicBoolean();
    InhibitableAccess access = inhibitor.addAccess(() -> immediateExit.set(true));
    guest.run(access::enter);
    Future<?> inhibiting = changer.begin(() -> inhibitor.inhibit().close());
    GuestThread.await(immediateExit::get);
    guest.run(() -> { // only now it runs
      while (!immediateExit.get()) {
        Thread.onSpinWait();
      }
      access.leave();
    });
    GuestThread.end(inhibiting);
  }

  @Test
  void inhibit_whileItSleeps_doesNotSpinAlsoWhenInterrupted() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    guest.run(access::enter);
    Thread thread = threadOf(changer);
    AtomicReference<Hold> hold = new AtomicReference<>();
    Future<Boolean> inhibiting =
        changer.beginCall(() -> {
          Thread.currentThread().interrupt();
          hold.set(inhibitor.inhibit());
          return Thread.interrupted();
        });
    awaitAsleep(thread);
    Sleepers.assertSleeps(thread);
    thread.interrupt();
    awaitAsleep(thread);
    Sleepers.assertSleeps(thread);
    guest.run(access::leave);
    assertTrue(GuestThread.end(inhibiting), "the interrupt is kept");
    // And who waits to enter.
    Thread waiter = threadOf(guest);
    Future<Boolean> entering =
        guest.beginCall(() -> {
          Thread.currentThread().interrupt();
          access.enter();
          return Thread.interrupted();
        });
    awaitAsleep(waiter);
    waiter.interrupt();
    awaitAsleep(waiter);
    Sleepers.assertSleeps(waiter);
    Objects.requireNonNull(hold.get()).close();
    assertTrue(GuestThread.end(entering), "the interrupt is kept");
  }

  @Test
  void inhibit_accessDoesNotLeave_failsWithItsThreadAndStackAndLetsEverybodyIn() {
    InhibitableAccess stuck = impatient.addAccess(kicks::incrementAndGet);
    InhibitableAccess other = impatient.addAccess(kicks::incrementAndGet);
    CountDownLatch latch = new CountDownLatch(1);
    Thread thread = threadOf(guest);
    Future<?> blocked =
        guest.begin(() -> {
          stuck.enter();
          latch.await();
          stuck.leave();
        });
    awaitAtLatch(thread);
    VcpuTimeoutException e = assertThrows(VcpuTimeoutException.class, impatient::inhibit);
    assertTrue(String.valueOf(e.getMessage()).contains("guest"), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains("30 ms"), e.getMessage());
    Throwable cause = assertNotNullCause(e);
    assertTrue(Arrays.toString(cause.getStackTrace()).contains("CountDownLatch.await"));
    assertFalse(impatient.isInhibited());
    other.enter();
    other.leave();
    latch.countDown();
    GuestThread.end(blocked);
    impatient.inhibit().close();
    guest.run(stuck::enter);
    guest.run(stuck::leave);
    assertEquals(1, kicks.get());
  }

  private static Throwable assertNotNullCause(Throwable e) {
    Throwable cause = e.getCause();
    assertNotNull(cause);
    return cause;
  }

  @Test
  void inhibit_timesOutWhileOthersWaitToEnterAndToInhibit_theyGoOn() {
    AccessInhibitor half = AccessInhibitor.create(Duration.ofMillis(500), errors::add);
    InhibitableAccess stuck = half.addAccess(kicks::incrementAndGet);
    InhibitableAccess waiting = half.addAccess(kicks::incrementAndGet);
    stuck.enter();
    Thread changing = threadOf(changer);
    Future<?> failing = changer.begin(half::inhibit);
    awaitAsleep(changing);
    guest.run(() -> {
      waiting.enter();
      waiting.leave();
    });
    assertThrows(VcpuTimeoutException.class, () -> GuestThread.end(failing));
    stuck.leave();
    half.inhibit().close();
  }

  @Test
  void inhibit_kickThrows_failsWithThatAndLetsEverybodyIn() {
    IllegalStateException thrown = new IllegalStateException("no such thread");
    InhibitableAccess access =
        inhibitor.addAccess(() -> {
          throw thrown;
        });
    guest.run(access::enter);
    assertSame(thrown, assertThrows(IllegalStateException.class, inhibitor::inhibit));
    assertFalse(inhibitor.isInhibited());
    guest.run(access::leave);
    inhibitor.inhibit().close();
    guest.run(access::enter);
  }

  /** As other languages do. */
  @Test
  void inhibit_kickThrowsACheckedException_failsWithThatAndLetsEverybodyIn() {
    InhibitableAccess access =
        inhibitor.addAccess(() -> AccessInhibitorTest.<RuntimeException>sneak(new IOException()));
    guest.run(access::enter);
    assertThrows(IOException.class, inhibitor::inhibit);
    assertFalse(inhibitor.isInhibited());
    guest.run(access::leave);
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
  private static <E extends Throwable> void sneak(Throwable e) throws E {
    throw (E) e;
  }

  @Test
  void inhibit_nested_countsAndIsOneHold() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Hold outer = inhibitor.inhibit();
    Hold inner = inhibitor.inhibit();
    Future<?> entering = beginEnterAndWait(access);
    outer.close(); // in whatever order
    outer.close();
    assertTrue(inhibitor.isInhibited(), "close twice counts once");
    assertFalse(entering.isDone());
    inner.close();
    GuestThread.end(entering);
    inner.close();
    guest.run(access::leave);
    try (Hold again = inhibitor.inhibit()) {
      assertNotNull(again);
      inner.close();
      outer.close();
      assertTrue(inhibitor.isInhibited(), "an old hold is not this one");
    }
    assertFalse(inhibitor.isInhibited());
  }

  @Test
  void close_ofAHold_fromAnotherThread_letsEverybodyIn() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Hold hold = inhibitor.inhibit();
    Future<?> entering = beginEnterAndWait(access);
    changer.run(hold::close);
    GuestThread.end(entering);
    guest.run(access::leave);
    changer.run(() -> inhibitor.inhibit().close());
  }

  @Test
  void enter_byTheHolder_failsAtOnceAndLeavesAllAsItWas() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    try (Hold hold = inhibitor.inhibit()) {
      assertNotNull(hold);
      assertFails("would wait for itself", access::enter);
      assertFalse(access.isInside());
      assertFails("not inside", access::leave);
      inhibitor.inhibit().close();
    }
    access.enter();
    access.leave();
  }

  @Test
  void inhibit_insideOwnAccess_failsAtOnce() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    access.enter();
    assertFails("would wait for itself: leave first", inhibitor::inhibit);
    access.leave();
    inhibitor.inhibit().close();
    assertEquals(0, kicks.get());
  }

  @Test
  void inhibitAndEnter_insideAKick_failAtOnce() {
    List<VcpuException> thrown = new ArrayList<>();
    InhibitableAccess mine = inhibitor.addAccess(kicks::incrementAndGet);
    CountDownLatch kicked = new CountDownLatch(1);
    AtomicReference<InhibitableAccess> its = new AtomicReference<>();
    its.set(
        inhibitor.addAccess(() -> {
          thrown.add(assertThrows(VcpuException.class, inhibitor::inhibit));
          thrown.add(assertThrows(VcpuException.class, mine::enter));
          thrown.add(
              assertThrows(VcpuException.class, () -> Objects.requireNonNull(its.get()).leave()));
          thrown.add(
              assertThrows(VcpuException.class, () -> Objects.requireNonNull(its.get()).close()));
          kicked.countDown();
        }));
    InhibitableAccess access = Objects.requireNonNull(its.get());
    guest.run(access::enter);
    Future<?> leaving =
        guest.begin(() -> {
          kicked.await();
          access.leave();
        });
    inhibitor.inhibit().close();
    GuestThread.end(leaving);
    assertEquals(4, thrown.size());
  }

  @Test
  void inhibit_byTwo_oneWaitsForTheOther() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Hold first = inhibitor.inhibit();
    Thread thread = threadOf(changer);
    AtomicReference<Hold> second = new AtomicReference<>();
    Future<?> inhibiting = changer.begin(() -> second.set(inhibitor.inhibit()));
    awaitAsleep(thread);
    assertNull(second.get());
    first.close();
    GuestThread.end(inhibiting);
    assertTrue(inhibitor.isInhibited());
    Future<?> entering = beginEnterAndWait(access);
    Objects.requireNonNull(second.get()).close();
    GuestThread.end(entering);
  }

  @Test
  void inhibit_whileAnotherHoldsForTooLong_failsWithItsStackAndLeavesThatHold() {
    CountDownLatch done = new CountDownLatch(1);
    Thread thread = threadOf(changer);
    Future<?> holding =
        changer.begin(() -> {
          try (Hold hold = impatient.inhibit()) {
            assertNotNull(hold);
            done.await();
          }
        });
    awaitAtLatch(thread);
    VcpuTimeoutException e = assertThrows(VcpuTimeoutException.class, impatient::inhibit);
    assertTrue(String.valueOf(e.getMessage()).contains("changer"), e.getMessage());
    assertTrue(
        Arrays.toString(assertNotNullCause(e).getStackTrace()).contains("CountDownLatch.await"));
    assertTrue(impatient.isInhibited());
    done.countDown();
    GuestThread.end(holding);
    assertFalse(impatient.isInhibited());
  }

  @Test
  void access_misuse_isRefusedAndChangesNothing() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    assertFails("not inside", access::leave);
    access.enter();
    assertFails("Its own thread closes it, outside", access::close);
    guest.run(() -> assertFails("Each thread needs one of its own", access::enter));
    guest.run(() -> assertFails("not inside", access::leave));
    guest.run(() -> assertFails("Its own thread closes it, outside", access::close));
    assertTrue(access.isInside());
    access.leave();
    assertFails("not inside", access::leave);
    guest.run(() -> assertFails("Each thread needs one of its own", access::enter));
    guest.run(() -> assertFails("Its own thread closes it, outside", access::close));
    access.close();
    access.close();
    guest.run(access::close);
    assertFails("closed", access::enter);
    assertFails("not inside", access::leave);
    assertTrue(access.toString().contains("closed"));
    InhibitableAccess never = inhibitor.addAccess(kicks::incrementAndGet);
    guest.run(never::close);
    assertFails("closed", never::enter);
    assertThrows(NullPointerException.class, () -> inhibitor.addAccess(nothing()));
  }

  @SuppressWarnings({"NullAway", "TypeParameterUnusedInFormals"})
  private static <T> T nothing() {
    return null;
  }

  @Test
  void addAccess_whileInhibited_waitsAsTheOthers() {
    Hold hold = inhibitor.inhibit();
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Future<?> entering = beginEnterAndWait(access);
    hold.close();
    GuestThread.end(entering);
  }

  @Test
  void inhibit_againAtOnce_doesNotOvertakeWhoWaitsToEnter() {
    InhibitableAccess access = inhibitor.addAccess(kicks::incrementAndGet);
    Thread thread = threadOf(guest);
    Hold hold = inhibitor.inhibit();
    for (int i = 0; i < 50; i++) {
      int before = kicks.get();
      AtomicBoolean overtaken = new AtomicBoolean();
      Future<?> entering =
          guest.begin(() -> {
            access.enter();
            GuestThread.await(() -> kicks.get() > before || overtaken.get());
            access.leave();
          });
      awaitAsleep(thread);
      hold.close();
      hold = inhibitor.inhibit(); // has to wait for the guest, and so kicks it
      overtaken.set(kicks.get() == before);
      assertFalse(overtaken.get(), "change " + i);
      GuestThread.end(entering);
    }
    hold.close();
  }
}
