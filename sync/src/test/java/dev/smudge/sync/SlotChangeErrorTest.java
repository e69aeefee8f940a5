package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.LostPages;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.embed.MapLock;
import dev.smudge.sync.internal.collect.Peek;
import dev.smudge.sync.rcu.RcuTimeoutException;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Changes of slots whose callbacks throw, or that wait in vain; and what old slots keep. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SlotChangeErrorTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 100;

  private final List<Throwable> reported = new ArrayList<>();
  private final DirtyLog log;

  SlotChangeErrorTest(Mode mode) {
    this.log = mode.builder().timeout(Duration.ofMillis(300)).errorHandler(reported::add).build();
  }

  private static long take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      long pages = batch.pageCount();
      batch.commit();
      return pages;
    }
  }

  @Test
  void commit_publishThrows_everythingIsAsBeforeAndAllDirtyAndCanBeCommittedAgain() {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    AtomicInteger released = new AtomicInteger();
    SlotChange change = log.change().remove(old, released::incrementAndGet);
    LogSlot next = change.add(1, PAGES, PAGE);
    change.carry(old, 0, next, 0, PAGES);
    for (int i = 0; i < 3; i++) {
      assertThrows(
          ArithmeticException.class,
          () ->
              change.commit(
                  () -> {
                    throw new ArithmeticException("no map");
                  },
                  () -> {}));
      assertEquals(List.of(), change.removed());
      assertSame(old, log.slot(0));
      assertThrows(IllegalArgumentException.class, () -> log.slot(1));
      assertThrows(IllegalArgumentException.class, () -> log.mark(next, 0, 1));
      assertEquals(PAGES, take(client), "its bits may be gone");
      vcpu.mark(old, 7 * PAGE, 1);
      log.mark(old, 8 * PAGE, 1);
      assertEquals(2, take(client));
      assertEquals(0, released.get());
      assertEquals(0, Peek.leaving(log));
    }
    vcpu.mark(old, 7 * PAGE, 1);
    assertEquals(1, change.commit().size());
    assertSame(next, log.slot(1));
    assertEquals(1, take(client), "carried");
    assertEquals(1, released.get());
  }

  /** A change that is not made was never there: nobody has found its slots meanwhile. */
  @Test
  void commit_publishThrows_whoHasFoundTheSlotMeanwhileMarksAllTheSame() throws Exception {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(old);
    change.carry(old, 0, change.add(0, PAGES, PAGE), 0, PAGES);
    LogSlot[] found = new LogSlot[1];
    try (GuestThread device = new GuestThread("device")) {
      assertThrows(
          ArithmeticException.class,
          () ->
              change.commit(
                  () -> {
                    device.run(() -> {
                      log.rcu().enter();
                      found[0] = log.slot(0);
                    });
                    throw new ArithmeticException("no map");
                  },
                  () -> {}));
      assertEquals(PAGES, take(client), "and their content is read");
      device.run(() -> {
        log.mark(found[0], 7 * PAGE, 1); // of a write that was made just now
        log.rcu().exit();
      });
    }
    assertEquals(1, take(client));
  }

  @Test
  void commit_insideAnothersPublish_refusedAndTheOtherIsMade() {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change();
    LogSlot next = change.add(1, PAGES, PAGE);
    change.commit(
        () -> {
          IllegalStateException e =
              assertThrows(IllegalStateException.class, () -> log.change().remove(old).commit());
          assertTrue(String.valueOf(e.getMessage()).contains("another change publishes"));
        },
        () -> {});
    log.mark(old, 7 * PAGE, 1);
    log.mark(next, 0, 1);
    assertEquals(PAGES + 1, take(client));
  }

  @Test
  void commit_whenReleasedThrows_otherSlotsAreReleasedAndItIsReported() {
    LogSlot[] slots = new LogSlot[3];
    AtomicInteger released = new AtomicInteger();
    SlotChange change = log.change();
    for (int i = 0; i < slots.length; i++) {
      slots[i] = log.addSlot(i, PAGES, PAGE);
      int failing = i;
      change.remove(
          slots[i],
          () -> {
            released.incrementAndGet();
            if (failing == 0) {
              throw new IllegalStateException("munmap");
            } else if (failing == 2) { // as other languages do
              TestTracker.<RuntimeException>sneak(new IOException("munmap"));
            }
          });
    }
    assertEquals(3, change.commit().size());
    assertEquals(3, released.get());
    assertEquals(2, reported.size());
    log.close();
    assertEquals(3, released.get());
  }

  @Test
  void retire_timesOut_handlesAreThereAndASecondCallRetires() throws Exception {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogVcpu vcpu = log.addVcpu();
    AtomicInteger released = new AtomicInteger();
    EmbeddedLog embedded = EmbeddedLog.of(log);
    MapLock lock = embedded.newLock("a test");
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(() -> vcpu.mark(old, 5 * PAGE, 1)); // and is online from then on
      MapChange change = embedded.beginChange(lock, true);
      LostPages lost = change.remove(old, released::incrementAndGet);
      RemovedSlot<LogSlot> handle = lost.handOut(old, () -> {});
      change.swap(() -> {});
      change.end();
      assertThrows(RcuTimeoutException.class, change::retire);
      assertThrows(IllegalArgumentException.class, () -> log.slot(old.id()), "it is made");
      assertEquals(1, handle.dirtyPages(), "its last pages are not gone with the exception");
      assertEquals(0, released.get());
      guest.run(vcpu::close);
      change.retire();
      assertEquals(1, released.get());
      change.retire();
      log.rcu().barrier();
      assertEquals(1, released.get(), "once");
    }
    assertEquals(0, take(client));
  }

  @Test
  void commit_afterOneThatTimedOut_retiresThatOneToo() throws Exception {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    LogSlot other = log.addSlot(1, PAGES, PAGE);
    LogVcpu vcpu = log.addVcpu();
    AtomicInteger released = new AtomicInteger();
    DirtyBatch<LogSlot> batch = log.client("c", InitialView.NONE_DIRTY).take();
    SlotChange change = log.change().remove(old, released::incrementAndGet);
    try (GuestThread guest = new GuestThread("guest")) {
      guest.run(vcpu::online);
      assertThrows(RcuTimeoutException.class, change::commit);
      assertEquals(1, change.removed().size());
      batch.close();
      assertEquals(0, released.get(), "the close of a batch releases what nobody uses, not this");
      guest.run(vcpu::close);
    }
    log.change().remove(other).commit();
    assertEquals(1, released.get());
    assertEquals(0, Peek.leaving(log));
  }

  /** A device's collect is the last step of a fetch, after that of the writers without a vCPU. */
  @Test
  void mark_duringTheLastFetchOfAnOldSlot_isFoundOrRefused() throws Exception {
    LogSlot old = log.addSlot(0, PAGES, PAGE);
    log.client("c", InitialView.NONE_DIRTY);
    boolean[] retiring = new boolean[1];
    AtomicInteger refused = new AtomicInteger();
    AtomicInteger marked = new AtomicInteger();
    log.addTracker(
        0,
        new LateWriter(() -> {
          if (retiring[0]) {
            Thread writer =
                new Thread(() -> {
                  try {
                    log.mark(old, 9 * PAGE, 1);
                    marked.incrementAndGet();
                  } catch (IllegalArgumentException e) {
                    refused.incrementAndGet();
                  }
                });
            writer.start();
            try {
              writer.join();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          }
        }));
    SlotChange change = log.change().remove(old);
    change.commit(() -> {}, () -> retiring[0] = true);
    assertTrue(refused.get() + marked.get() > 0, "no fetch");
    long found = change.removed().get(0).dirtyPages();
    assertEquals(marked.get() > 0 ? 1 : 0, found, "neither found nor refused");
  }

  /** Does something in the middle of each fetch. */
  private record LateWriter(Runnable inFetch) implements Tracker {
    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return new SlotTracker() {
        @Override
        public void collect(PageWordConsumer sink) {
          inFetch.run();
        }
      };
    }
  }

  /** Whoever keeps an old slot does not keep all that came after it. */
  @Test
  void oldSlotIsKept_moves_slotsBetweenAreReclaimed() {
    LogSlot first = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    assertBounded(first);
    assertThrows(IllegalArgumentException.class, () -> log.mark(first, 0, 1));
    client.close();
  }

  /** A batch that is never closed keeps its slot, and none of those that came after it. */
  @Test
  void batchIsNeverClosed_moves_slotsBetweenAreReclaimedAndItsPagesComeBack() {
    LogSlot first = log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    DirtyClient<LogSlot> never = log.client("never takes", InitialView.ALL_DIRTY);
    DirtyBatch<LogSlot> batch = client.take();
    batch.acknowledge(first, 0, 40);
    assertBounded(first);
    assertEquals(60, batch.pageCount());
    batch.close();
    assertEquals(60, take(client), "through all the slots that there were meanwhile");
    assertEquals(PAGES, take(never));
  }

  private void assertBounded(LogSlot first) {
    List<WeakReference<LogSlot>> between = new ArrayList<>();
    LogSlot slot = first;
    for (int i = 1; i <= 3_000; i++) {
      SlotChange change = log.change().remove(slot);
      LogSlot next = change.add(i % 2, PAGES, PAGE);
      change.carry(slot, 0, next, 0, PAGES);
      change.commit();
      slot = next;
      between.add(new WeakReference<>(next));
    }
    long kept = PAGES;
    for (int i = 0; i < 50 && kept > 5; i++) {
      System.gc();
      kept = between.stream().filter(reference -> reference.get() != null).count();
    }
    assertTrue(kept <= 5, kept + " of 3,000 slots are kept");
    assertEquals(PAGES, first.pageCount());
  }
}
