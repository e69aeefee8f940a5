package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.tracker.TrackerVcpus;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Errors that come again, in what mends an error, and of those who are told of it. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RepeatedErrorTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 100;

  private final List<Throwable> reported = new ArrayList<>();
  private final List<String> calls = new ArrayList<>();
  private String failing = ""; // call of the tracker
  private int failures;
  private boolean stackEnds;
  private String refused = ""; // call of the tracker, every time
  private final DirtyLog log =
      DirtyLog.builder().errorHandler(reported::add).interceptTracker(Failing::new).build();

  /** The log's tracker, some calls of which fail. */
  private final class Failing extends ForwardingTracker {
    Failing(Tracker real) {
      super(real);
    }

    private void call(String what, TrackedSlot slot) {
      String call = what + " " + slot.id();
      if (call.equals(failing) && failures > 0) {
        failures--;
        if (stackEnds) {
          throw new StackOverflowError("planted");
        }
        throw new ArithmeticException(call);
      }
      if (call.equals(refused)) {
        throw new ArithmeticException(call);
      }
      calls.add(call);
    }

    @Override
    protected void add(TrackedSlot slot, SlotTracker to) {
      call("add", slot);
      super.add(slot, to);
    }

    @Override
    protected void remove(TrackedSlot slot, SlotTracker to) {
      call("remove", slot);
      super.remove(slot, to);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      call("collect", slot);
      super.collect(slot, to, sink);
    }
  }

  private void fail(String call, int times) {
    failing = call;
    failures = times;
  }

  /** What a tracker that has not got a slot back misses is dirty; and it gets it back. */
  @Test
  void undoing_theTrackerRefusesTheSlotForAWhile_isAskedAgainByEachCall() {
    LogSlot slot = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(slot);
    fail("add 0", 4);
    IllegalStateException e =
        assertThrows(
            IllegalStateException.class,
            () ->
                change.commit(
                    () -> {
                      throw new IllegalStateException("no map");
                    },
                    () -> {}));
    assertEquals("no map", e.getMessage());
    assertSame(slot, log.slot(0));
    assertEquals(PAGES, Dirty.take(client, 0).size());
    calls.clear();
    assertEquals(
        PAGES, Dirty.take(client, 0).size(), "once more, since it has missed some perhaps");
    assertTrue(calls.contains("add 0"), calls::toString);
    assertEquals(0, failures);
    log.mark(slot, 5 * PAGE, 1);
    assertEquals(Set.of(5L), Dirty.take(client, 0));
  }

  /** What the retirement of another slot throws does not keep a slot from its own. */
  @Test
  void retirement_thatOfAnotherSlotFails_isReportedAndThisOneIsReleased() {
    LogSlot bad = log.addSlot(0, PAGES, PAGE);
    LogSlot good = log.addSlot(1, PAGES, PAGE);
    log.client("c", InitialView.NONE_DIRTY);
    AtomicInteger released = new AtomicInteger();
    SlotChange change = log.change().remove(bad, released::incrementAndGet);
    assertThrows(
        ArithmeticException.class, () -> change.commit(() -> {}, () -> fail("collect 0", 9)));
    SlotChange next = log.change().remove(good, released::incrementAndGet);
    next.commit(() -> {}, () -> {});
    assertEquals(1, released.get());
    assertEquals(1, reported.size());
    fail("", 0);
    log.rcu().barrier();
    assertEquals(2, released.get());
  }

  /** No set is trusted in which a stack has ended, perhaps: nor that of a remover. */
  @Test
  void lastFetchOfARemovedSlot_stackEndsInIt_everyPageIsTheRemovers() {
    LogSlot slot = log.addSlot(0, PAGES, PAGE);
    log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(slot);
    LogSlot next = change.add(1, 40, PAGE);
    change.carry(slot, 0, next, 0, 40);
    stackEnds = true;
    assertThrows(
        StackOverflowError.class, () -> change.commit(() -> {}, () -> fail("collect 0", 1)));
    log.rcu().barrier();
    assertEquals(PAGES - 40, change.removed().get(0).dirtyPages());
  }

  /** Nor in a swap whose undoing throws something else. */
  @Test
  void swap_stackEndsInItAndTheUndoingFails_everyPageOfEverySlotIsDirty() {
    LogSlot slot = log.addSlot(0, PAGES, PAGE);
    log.addSlot(1, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(slot);
    change.add(2, PAGES, PAGE);
    stackEnds = true;
    refused = "remove 2";
    fail("add 2", 1);
    assertThrows(ArithmeticException.class, change::commit);
    assertEquals(PAGES, Dirty.take(client, 1).size());
  }

  @Test
  void close_theRemovalOfASlotFails_theOthersAreRemoved() {
    log.addSlot(0, PAGES, PAGE);
    log.addSlot(1, PAGES, PAGE);
    fail("remove 0", 1);
    assertThrows(ArithmeticException.class, log::close);
    assertTrue(calls.contains("remove 1"), calls::toString);
    log.close();
  }

  /** A device whose end an error handler disturbs leaves all the same, and its last pages come. */
  @Test
  void errorHandlerThrows_whileADeviceLeaves_itsPagesAreDirtyAndItIsClosed() {
    DirtyLog other =
        DirtyLog.builder()
            .errorHandler(e -> {
              reported.add(e);
              TestTracker.<RuntimeException>sneak(new IOException("of the handler"));
            })
            .build();
    other.addSlot(0, PAGES, PAGE);
    AtomicInteger closed = new AtomicInteger();
    Registration device =
        other.addTracker(
            0,
            new Tracker() {
              @Override
              public SlotTracker newSlot(TrackedSlot of) {
                return new SlotTracker() {
                  @Override
                  public void collect(PageWordConsumer sink) {
                    sink.accept(0, 1 << 7);
                  }
                };
              }

              @Override
              public void detach() {
                throw new ArithmeticException("detach");
              }

              @Override
              public void close() {
                closed.incrementAndGet();
              }
            });
    DirtyClient<LogSlot> client = other.client("c", InitialView.NONE_DIRTY);
    Dirty.take(client, 0);
    device.close();
    other.rcu().barrier();
    assertEquals(Set.of(7L), Dirty.take(client, 0));
    assertEquals(1, closed.get());
    assertEquals(1, reported.size());
    other.close();
  }

  /** vCPUs of a tracker's own, which go on at the second attempt. */
  private static final class Stubborn implements Tracker {
    final AtomicInteger attempts = new AtomicInteger();

    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return new SlotTracker() {};
    }

    @Override
    public TrackerVcpus vcpus() {
      return () ->
          () -> {
            if (attempts.incrementAndGet() == 1) {
              throw new ArithmeticException("go on");
            }
          };
    }
  }

  @Test
  void closeOfAPause_letsNobodyGoOnAtFirst_anotherCallDoes() {
    Stubborn tracker = new Stubborn();
    DirtyLog other = DirtyLog.builder().tracker(tracker).build();
    VcpuPause pause = other.pause();
    assertThrows(ArithmeticException.class, pause::close);
    pause.close();
    pause.close();
    assertEquals(2, tracker.attempts.get());
  }

  @Test
  void pauseOfOthersFails_andLettingThemGoToo_vcpusGoOn() {
    EmbeddedLog embedded = EmbeddedLog.of(log);
    Runnable fails =
        () -> {
          throw new ArithmeticException("planted");
        };
    assertThrows(ArithmeticException.class, () -> embedded.pause(fails, fails));
    log.pause().close(); // this thread holds none
  }

  /** A tracker in another language, where checked exceptions need no word. */
  @Test
  void pauseOfTheTrackersVcpus_throwsAnythingAtAll_nothingIsPaused() {
    DirtyLog other =
        DirtyLog.builder()
            .tracker(
                new Tracker() {
                  @Override
                  public SlotTracker newSlot(TrackedSlot slot) {
                    return new SlotTracker() {};
                  }

                  @Override
                  public @Nullable TrackerVcpus vcpus() {
                    return () -> {
                      TestTracker.<RuntimeException>sneak(new IOException("no such vCPU"));
                      return () -> {};
                    };
                  }
                })
            .build();
    assertThrows(IOException.class, other::pause);
    assertThrows(IOException.class, other::pause, "not that this thread holds one");
  }

  /** The store was made, whatever keeps the vCPU from coming online for its mark. */
  @Test
  void mark_theVcpuCannotComeOnline_isADevicesMark() {
    boolean[] fails = new boolean[1];
    LogSlot slot = log.addSlot(0, PAGES, PAGE);
    LogVcpu vcpu =
        log.addVcpu(() -> {
          if (fails[0]) {
            TestTracker.<RuntimeException>sneak(new IOException("of the arm callback"));
          }
        });
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    fails[0] = true;
    assertThrows(IOException.class, () -> vcpu.mark(slot, 5 * PAGE, 1));
    fails[0] = false;
    vcpu.offline();
    assertEquals(Set.of(5L), Dirty.take(client, 0));
  }
}
