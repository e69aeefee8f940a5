package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** A backend that throws at each point of each call in turn: nothing is lost. */
@ParameterizedClass
@EnumSource(Mode.class)
class FaultTest {
  private static final int PAGE = 4096;

  private final Mode mode;

  FaultTest(Mode mode) {
    this.mode = mode;
  }

  /** Does {@code action} with a fault at each of its points, until it gets through. */
  private static int atEveryPoint(
      TestTracker backend, Runnable before, Runnable action, Consumer<Integer> afterFault) {
    for (int points = 0; ; points++) {
      before.run();
      backend.untilFault.set(points);
      try {
        action.run();
        backend.untilFault.set(-1);
        return points;
      } catch (TestTracker.Fault e) {
        backend.untilFault.set(-1);
        afterFault.accept(points);
      }
    }
  }

  /** Where the stack of whoever holds the collector lock has ended, no set of pages is trusted. */
  @Test
  void stackEndsUnderTheLock_everyPageIsDirtyForAllOnceMore() {
    AtomicBoolean ends = new AtomicBoolean();
    DirtyLog log =
        mode.builder()
            .interceptTracker(real ->
                new ForwardingTracker(real) {
                  @Override
                  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                    if (ends.getAndSet(false)) {
                      throw new StackOverflowError();
                    }
                    super.collect(slot, to, sink);
                  }
                })
            .build();
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 7 * PAGE, 1);
    vcpu.offline();
    ends.set(true);
    assertThrows(StackOverflowError.class, a::take);
    assertEquals(100, Dirty.take(a).size());
    assertEquals(100, Dirty.take(b).size());
    vcpu.mark(slot, 9 * PAGE, 1); // and all is armed
    vcpu.offline();
    assertEquals(Set.of(9L), Dirty.take(a));
    assertEquals(Set.of(9L), Dirty.take(b));
    log.close();
  }

  @Test
  void bug19_takeFailsAtEveryPoint_pagesAreDirtyStillForAll() {
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 20_000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    Runnable write =
        () -> {
          vcpu.mark(slot, 5 * PAGE, 1);
          log.mark(slot, 6 * PAGE, 1);
          vcpu.mark(slot, 9_000 * PAGE, 1); // so far away that it is cleared by a call of its own
        };
    int points =
        atEveryPoint(
            backend,
            write,
            () -> a.take().close(),
            p -> {
              vcpu.mark(slot, 300 * PAGE, 1);
              assertEquals(Set.of(5L, 6L, 300L, 9_000L), Dirty.take(a), "point " + p);
              assertEquals(Set.of(5L, 6L, 300L, 9_000L), Dirty.take(b), "point " + p);
            });
    // With rings there is nothing to clear: the reap has done it.
    assertTrue(points >= (mode.hasRings() ? 10 : 12), points + " points");
  }

  @Test
  void discardFailsAtEveryPoint_othersKeepTheirsAndLaterWritesAreSeen() {
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 700, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    int points =
        atEveryPoint(
            backend,
            () -> vcpu.mark(slot, 5 * PAGE, 3 * PAGE),
            () -> a.discard(log.slot(0), 0, 10),
            p -> {
              assertTrue(Dirty.take(a).containsAll(Set.of(5L, 6L, 7L)), "point " + p);
              assertEquals(Set.of(5L, 6L, 7L), Dirty.take(b), "point " + p);
            });
    assertTrue(points >= 8, points + " points");
    assertEquals(Set.of(), Dirty.take(a));
    vcpu.mark(slot, 6 * PAGE, 1);
    assertEquals(Set.of(6L), Dirty.take(a));
  }

  @Test
  void newClientFailsAtEveryPoint_thereIsNoneAndTheOthersLoseNothing() {
    for (InitialView initial : InitialView.values()) {
      for (boolean first : new boolean[] {true, false}) {
        TestTracker backend = new TestTracker();
        DirtyLog log = backend.log(mode);
        LogSlot slot = log.addSlot(0, 700, PAGE);
        LogVcpu vcpu = log.addVcpu();
        DirtyClient<LogSlot> a = first ? null : log.client("a", InitialView.NONE_DIRTY);
        int points =
            atEveryPoint(
                backend,
                () -> vcpu.mark(slot, 5 * PAGE, 1),
                () -> log.client("b", initial).close(),
                p -> {
                  if (a != null) {
                    assertEquals(Set.of(5L), Dirty.take(a), initial + ", point " + p);
                  } else {
                    try (DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY)) {
                      vcpu.mark(slot, 9 * PAGE, 1);
                      assertEquals(Set.of(9L), Dirty.take(b), initial + ", point " + p);
                    }
                  }
                });
        assertTrue(points >= (first || initial == InitialView.NONE_DIRTY ? 2 : 0), "points");
      }
    }
  }

  @Test
  void addSlotFailsAtEveryPoint_theSlotIsNotThereAndCanBeAddedAgain() {
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    int points =
        atEveryPoint(
            backend,
            () -> {},
            () -> log.addSlot(0, 100, PAGE),
            p -> {
              assertThrows(IllegalArgumentException.class, () -> log.slot(0));
              assertEquals(Set.of(), Dirty.take(a));
            });
    assertEquals(6, points);
    assertEquals(100, Dirty.take(a).size());
  }

  @Test
  void lastClientClosesWithAFault_theNextClientLosesNothing() {
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 700, PAGE);
    LogVcpu vcpu = log.addVcpu();
    for (InitialView initial : InitialView.values()) {
      for (int point = 0; point < 2; point++) {
        DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
        backend.untilFault.set(point);
        assertThrows(TestTracker.Fault.class, a::close);
        vcpu.mark(slot, 3 * PAGE, 1);
        try (DirtyClient<LogSlot> b = log.client("b", initial)) {
          assertEquals(initial == InitialView.ALL_DIRTY ? 700 : 0, Dirty.take(b).size());
          vcpu.mark(slot, 5 * PAGE, 1);
          assertEquals(Set.of(5L), Dirty.take(b));
        }
      }
    }
  }

  /**
   * A fetch that fails has read some words already: a marker that was half-way then may not have
   * ended when the next fetch begins, so those words stay suspect.
   */
  @Test
  void fetchFailsAfterAWord_wordStaysSuspectUntilABarrierOfLater() {
    Assumptions.assumeFalse(mode.hasRings(), "with rings a word is marked before it is reported");
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 700, PAGE);
    LogVcpu vcpu = log.addVcpu();
    log.client("a", InitialView.NONE_DIRTY);
    log.sync();
    log.barrier();
    vcpu.mark(slot, 5 * PAGE, 1);
    backend.untilFault.set(2); // after the word was handed out
    assertThrows(TestTracker.Fault.class, log::sync);
    backend.untilFault.set(-1);
    for (int i = 0; i < 3; i++) {
      assertEquals(1, wordsOfASync(backend, log), "no barrier since: read again each time");
    }
    log.barrier();
    assertEquals(1, wordsOfASync(backend, log));
    assertEquals(0, wordsOfASync(backend, log));
  }

  @Test
  void fetchFailsAtEveryPoint_ringOverflowed_everyPageIsFoundAndThenNothingIsReadAgain() {
    Assumptions.assumeTrue(mode.hasRings());
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 70_000, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    int points =
        atEveryPoint(
            backend,
            () -> {
              vcpu.mark(slot, 0, 300L * PAGE);
              vcpu.mark(slot, 69_990L * PAGE, 1);
            },
            log::sync,
            p -> {
              log.sync();
              assertEquals(301, a.dirtyPages(), "point " + p);
              backend.untilFault.set(1_000);
              log.sync();
              assertEquals(4, 1_000 - backend.untilFault.getAndSet(-1), "no page and no word");
              assertEquals(301, Dirty.take(a).size());
            });
    assertTrue(points > 2 * 4 + 4, points + " points");
  }

  /** A reap arms pages; a vCPU that may skip their marks has to hear of it, whatever is thrown. */
  @Test
  void reapFailsAtEveryPoint_vcpuWithAWriteTlb_dropsItBeforeTheNextTakeIsOver() {
    Assumptions.assumeTrue(mode.hasRings());
    TestTracker backend = new TestTracker();
    DirtyLog log = backend.log(mode);
    LogSlot slot = log.addSlot(0, 700, PAGE);
    boolean[] tlb = new boolean[700]; // pages that need no mark
    LogVcpu vcpu = log.addVcpu(() -> Arrays.fill(tlb, false));
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    Runnable store =
        () -> {
          vcpu.safepoint();
          for (int page = 5; page < 10; page++) {
            if (!tlb[page]) {
              vcpu.mark(slot, (long) page * PAGE, 1);
              tlb[page] = true;
            }
          }
        };
    int points =
        atEveryPoint(
            backend,
            () -> {
              store.run();
              vcpu.safepoint();
            },
            log::sync,
            p -> {
              assertEquals(Set.of(5L, 6L, 7L, 8L, 9L), Dirty.take(a), "point " + p);
              store.run();
              assertEquals(
                  Set.of(5L, 6L, 7L, 8L, 9L), Dirty.take(a), "stores after it, point " + p);
              assertEquals(Set.of(), Dirty.take(a));
            });
    assertTrue(points >= 6, points + " points");
  }

  private static int wordsOfASync(TestTracker backend, DirtyLog log) {
    // A point before and after each slot and each word.
    backend.untilFault.set(1_000);
    log.sync();
    int passed = 1_000 - backend.untilFault.get();
    backend.untilFault.set(-1);
    return (passed - 2) / 2;
  }

  @Test
  void take_aTrackerClosesItsClient_refusedByName() {
    AtomicReference<DirtyClient<LogSlot>> client = new AtomicReference<>();
    DirtyLog log =
        mode.builder()
            .interceptTracker(real ->
                new ForwardingTracker(real) {
                  @Override
                  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                    super.collect(slot, to, sink);
                    DirtyClient<LogSlot> closed = client.getAndSet(null);
                    if (closed != null) {
                      closed.close();
                    }
                  }
                })
            .build();
    LogSlot slot = log.addSlot(0, 100, PAGE);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    log.mark(slot, 7 * PAGE, 1);
    client.set(a);
    IllegalStateException e = assertThrows(IllegalStateException.class, a::take);
    assertTrue(e.toString().contains("client 'a' was closed meanwhile"), e::toString);
    assertEquals(Set.of(7L), Dirty.take(b));
    log.close();
  }
}
