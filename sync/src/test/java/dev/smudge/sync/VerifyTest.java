package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.verify.PageContent;
import dev.smudge.sync.verify.UnreportedWriteException;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The verify mode, over RAM of the embedder's own. */
@Tag("long")
@Timeout(120)
class VerifyTest {
  private static final int PAGE = 64;
  private static final int PAGES = 200;

  /** How long a writer without a vCPU may take from its store to its mark, almost. */
  private static final long MOST_NANOS = 90_000_000;

  private static final VarHandle CELLS = MethodHandles.arrayElementVarHandle(byte[].class);

  private final byte[] ram = new byte[PAGES * PAGE];
  private final PageContent content =
      (slot, page, to) -> {
        for (int i = 0; i < to.length; i++) {
          to[i] = (byte) CELLS.getAcquire(ram, (int) page * PAGE + i);
        }
      };

  private static void take(DirtyClient<LogSlot> client) {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.commit();
    }
  }

  private static UnreportedWriteException takeUntilNamed(DirtyClient<LogSlot> client) {
    for (; ; ) {
      try {
        take(client);
      } catch (UnreportedWriteException e) {
        return e;
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Mode.class)
  void take_afterAnUnmarkedWrite_namesSlotPageByteAndTakes(Mode mode) {
    try (DirtyLog log = mode.builder().verify(content).build()) {
      log.addSlot(3, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("saves", InitialView.ALL_DIRTY);
      DirtyClient<LogSlot> other = log.client("display", InitialView.NONE_DIRTY);
      take(client);
      take(other);
      ram[5 * PAGE + 9] = 0x41;
      UnreportedWriteException e = takeUntilNamed(client);
      assertEquals(3, e.slotId());
      assertEquals(5, e.pageIndex());
      assertEquals(5 * PAGE + 9, e.byteOffset());
      assertTrue(
          String.valueOf(e.getMessage())
              .contains(
                  "offset 0x149 of the slot was 0x00 and is 0x41 since a write"
                      + " between take 2 by DirtyClient[display] and take 3 by DirtyClient[saves]"),
          e.getMessage());
      try (DirtyBatch<LogSlot> batch = other.take()) {
        assertEquals(1, batch.pageCount(), "the page is dirty for every client now");
        batch.commit();
      }
      take(client); // and is named once
    }
  }

  @Test
  void take_ofAStoppedGuest_namesAtOnce() {
    try (DirtyLog log = DirtyLog.builder().verify(content).buildStopped()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("rewind", InitialView.NONE_DIRTY);
      ram[0] = 1;
      log.mark(slot, 0, 1);
      take(client);
      ram[0] = 2;
      ram[PAGE] = 2;
      log.mark(slot, PAGE, 1);
      ram[7 * PAGE] = 2;
      UnreportedWriteException e = assertThrows(UnreportedWriteException.class, client::take);
      assertEquals(0, e.pageIndex());
      assertTrue(
          String.valueOf(e.getMessage()).endsWith("; 1 more page(s) changed, too"), e.getMessage());
      assertEquals(7, ((UnreportedWriteException) e.getSuppressed()[0]).pageIndex());
      try (DirtyBatch<LogSlot> batch = client.take()) {
        assertEquals(3, batch.pageCount());
        batch.commit();
      }
    }
  }

  @Test
  void close_ofTheLastClient_namesWhatTheLastTakeSuspected() {
    DirtyLog log = DirtyLog.builder().verify(content).build();
    log.addSlot(0, PAGES, PAGE);
    DirtyClient<LogSlot> client = log.client("saves", InitialView.NONE_DIRTY);
    ram[PAGE] = 1;
    UnreportedWriteException e = assertThrows(UnreportedWriteException.class, client::close);
    assertEquals(1, e.pageIndex());
    assertThrows(IllegalStateException.class, client::take, "it is closed");
    log.close();
  }

  @Test
  void close_ofTheLog_namesToo() {
    DirtyLog log = DirtyLog.builder().verify(content).build();
    log.addSlot(0, PAGES, PAGE);
    log.client("saves", InitialView.NONE_DIRTY);
    ram[PAGE] = 1;
    assertThrows(UnreportedWriteException.class, log::close);
    assertThrows(IllegalStateException.class, log::addVcpu, "it is closed");
  }

  /** Two takes look at the store; both wait for the safepoint, before which the mark comes. */
  @ParameterizedTest
  @EnumSource(Mode.class)
  void storeWhoseVcpuMarksBeforeItsSafepoint_isNotNamed(Mode mode) {
    List<Throwable> named = Collections.synchronizedList(new ArrayList<>());
    AtomicInteger looks = new AtomicInteger();
    PageContent counted =
        (slot, page, to) -> {
          content.read(slot, page, to);
          looks.addAndGet(page == PAGES - 1 ? 1 : 0);
        };
    try (DirtyLog log = mode.builder().verify(counted).verifyAndReport(named::add).build();
        GuestThread taker = new GuestThread("taker");
        GuestThread another = new GuestThread("another")) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("saves", InitialView.NONE_DIRTY);
      DirtyClient<LogSlot> other = log.client("display", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu();
      vcpu.online();
      for (int page = 0; page < 3; page++) {
        ram[page * PAGE] = 1;
        int before = looks.get();
        var first = taker.begin(() -> take(client));
        GuestThread.await(() -> looks.get() > before);
        long seen = System.nanoTime();
        GuestThread.await(() -> System.nanoTime() - seen > 150_000_000); // no patience is left
        var second = another.begin(() -> take(other));
        GuestThread.await(() -> looks.get() > before + 1);
        vcpu.mark(slot, (long) page * PAGE, 1);
        while (!first.isDone() || !second.isDone()) {
          vcpu.safepoint();
        }
        GuestThread.end(first);
        GuestThread.end(second);
      }
      vcpu.offline();
      client.close();
      other.close();
    }
    assertEquals(List.of(), named);
  }

  /** A writer without a vCPU takes part in no barrier. */
  @Test
  void storeWhoseWriterMarksALittleLater_isNotNamed() {
    long took;
    do {
      List<Throwable> named = new ArrayList<>();
      try (DirtyLog log = DirtyLog.builder().verify(content).verifyAndReport(named::add).build()) {
        LogSlot slot = log.addSlot(0, PAGES, PAGE);
        DirtyClient<LogSlot> client = log.client("saves", InitialView.NONE_DIRTY);
        long begin = System.nanoTime();
        ram[0]++;
        take(client);
        take(client);
        log.mark(slot, 0, 1);
        take(client);
        took = System.nanoTime() - begin;
        assertTrue(named.isEmpty() || took > MOST_NANOS, named.toString());
      }
    } while (took > MOST_NANOS); // longer than it may take: once more
  }

  /** It tells of what it has written since it was closed when it has left. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatALeavingDeviceWrites_isNotNamed(boolean stopped) {
    DirtyLogBuilder options = DirtyLog.builder().verify(content);
    try (DirtyLog log = stopped ? options.buildStopped() : options.build()) {
      log.addSlot(0, PAGES, PAGE);
      AtomicLong written = new AtomicLong();
      SlotTracker part =
          new SlotTracker() {
            @Override
            public void collect(PageWordConsumer sink) {
              sink.accept(0, written.get());
            }

            @Override
            public void clear(long firstPage, long pageCount, long[] bitmap) {
              written.set(0);
            }
          };
      Registration device = log.addTracker(0, slot -> part);
      DirtyClient<LogSlot> client = log.client("saves", InitialView.NONE_DIRTY);
      take(client);
      device.close();
      ram[5 * PAGE] = 1;
      written.set(1 << 5);
      for (long begin = System.nanoTime(); System.nanoTime() - begin < 2 * MOST_NANOS; ) {
        take(client);
      }
      log.rcu().barrier();
      assertEquals(Set.of(5L), Dirty.take(client));
      ram[7 * PAGE] = 1; // and what nobody tells of is named
      assertEquals(7, takeUntilNamed(client).pageIndex());
    }
  }

  @Test
  void whatAClientWritesItself_isNotNamed() {
    try (DirtyLog log = DirtyLog.builder().verify(content).buildStopped()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("rewind", InitialView.NONE_DIRTY);
      ram[3] = 1;
      client.markForOthers(slot, 3, 1);
      take(client);
      ram[3] = 2;
      assertThrows(UnreportedWriteException.class, client::take);
    }
  }

  @Test
  void pageThatNoTakeHasArmed_isNotNamed() {
    try (DirtyLog log = DirtyLog.builder().verify(content).buildStopped()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("rewind", InitialView.ALL_DIRTY);
      client.takeRange(slot, 0, 64).close();
      ram[100 * PAGE] = 1; // dirty for the client already, and not armed
      log.sync();
      take(client);
      ram[100 * PAGE] = 2;
      assertThrows(UnreportedWriteException.class, log::sync);
    }
  }

  @Test
  void slotThatIsReplaced_isVerifiedFromTheNextTakeOn() {
    try (DirtyLog log = DirtyLog.builder().verify(content).buildStopped()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("rewind", InitialView.NONE_DIRTY);
      SlotChange change = log.change();
      LogSlot half = change.add(1, 100, PAGE);
      change.remove(slot);
      change.carry(slot, 0, half, 0, 100);
      change.commit().forEach(RemovedSlot::close);
      ram[9] = 1;
      log.mark(half, 9, 1);
      take(client);
      ram[9] = 2;
      assertEquals(1, assertThrows(UnreportedWriteException.class, client::take).slotId());
    }
  }

  /** RAM that faults is an Error, and another language throws what it likes. */
  static Stream<Throwable> errors() {
    return Stream.of(
        new IllegalStateException("unmapped"),
        new InternalError("unmapped"),
        new IOException("unmapped"));
  }

  @ParameterizedTest
  @MethodSource("errors")
  void contentThatCannotBeRead_isReportedOnce_andPagesAreTaken(Throwable unmapped) {
    List<Throwable> errors = new ArrayList<>();
    AtomicBoolean fails = new AtomicBoolean();
    PageContent flaky =
        new PageContent() {
          @Override
          public void read(TrackedSlot slot, long page, byte[] to) {
            fail();
            content.read(slot, page, to);
          }

          @Override
          public boolean isBeingWritten(TrackedSlot slot, long page) {
            fail();
            return false;
          }

          private void fail() {
            if (fails.get()) {
              TestTracker.<RuntimeException>sneak(unmapped);
            }
          }
        };
    try (DirtyLog log = DirtyLog.builder().verify(flaky).errorHandler(errors::add).buildStopped()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("rewind", InitialView.NONE_DIRTY);
      fails.set(true);
      log.mark(slot, 0, 1);
      for (int i = 0; i < 3; i++) {
        take(client);
      }
    }
    assertEquals(1, errors.size());
    assertEquals("unmapped", errors.get(0).getMessage());
  }

  @Test
  void client_ofALogThatDoesNotKnowItsContent_isRefused() {
    try (DirtyLog log = DirtyLog.builder().verify().build()) {
      log.addSlot(0, PAGES, PAGE);
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class, () -> log.client("saves", InitialView.NONE_DIRTY));
      assertTrue(
          String.valueOf(e.getMessage()).contains("DirtyLogBuilder.verify(PageContent)"),
          e.getMessage());
    }
  }

  @Test
  void property_thatIsNeitherTrueNorReportNorFalse_isRefused() {
    System.setProperty("smudge.verify", "yes");
    try {
      assertThrows(IllegalArgumentException.class, DirtyLog::create);
    } finally {
      System.clearProperty("smudge.verify");
    }
  }

  /**
   * Beside a guest that runs and a device: whatever is marked is never named, and of the marks that
   * are forgotten each page is named, unless another mark has reported it.
   */
  @ParameterizedTest
  @EnumSource(Mode.class)
  void besideARunningGuest_exactlyTheForgottenPagesAreNamed(Mode mode) throws Exception {
    long took;
    do {
      took = runBesideAGuestAndADevice(mode);
    } while (took > MOST_NANOS); // longer than it may take: once more
  }

  /**
   * Returns the longest time from a store of the device to its mark. If that was too long, its
   * pages may have been named, and nothing is asserted.
   */
  private long runBesideAGuestAndADevice(Mode mode) throws Exception {
    Set<Long> named = Collections.synchronizedSet(new TreeSet<>());
    AtomicLong longest = new AtomicLong();
    long seed = System.nanoTime();
    int first = PAGES / 2; // the guest and the device write below, forgotten stores are above
    BitSet forgotten = new BitSet();
    try (DirtyLog log =
        mode.builder()
            .verify(content)
            .verifyAndReport(e -> named.add(((UnreportedWriteException) e).pageIndex()))
            .build()) {
      LogSlot slot = log.addSlot(0, PAGES, PAGE);
      DirtyClient<LogSlot> client = log.client("saves", InitialView.ALL_DIRTY);
      take(client);
      AtomicBoolean stop = new AtomicBoolean();
      Thread guest =
          new Thread(() -> {
            Random random = new Random(seed);
            LogVcpu vcpu = log.addVcpu();
            vcpu.online();
            while (!stop.get()) {
              int at = random.nextInt(first * PAGE);
              CELLS.setRelease(ram, at, (byte) random.nextInt());
              vcpu.mark(slot, at, 1);
              vcpu.safepoint();
            }
            vcpu.close();
          });
      Thread device =
          new Thread(() -> {
            Random random = new Random(~seed);
            while (!stop.get()) {
              int at = random.nextInt(first * PAGE);
              long begin = System.nanoTime();
              CELLS.setRelease(ram, at, (byte) random.nextInt());
              log.mark(slot, at, 1);
              longest.accumulateAndGet(System.nanoTime() - begin, Math::max);
            }
          });
      guest.start();
      device.start();
      Random random = new Random(seed + 1);
      for (int round = 0; round < 100; round++) {
        if (round % 10 == 0) {
          int page = first + random.nextInt(PAGES - first);
          CELLS.setRelease(ram, page * PAGE, (byte) (ram[page * PAGE] + 1));
          forgotten.set(page);
        }
        take(client);
      }
      stop.set(true);
      guest.join(TimeUnit.SECONDS.toMillis(60));
      device.join(TimeUnit.SECONDS.toMillis(60));
      client.close();
    }
    Set<Long> expected = new TreeSet<>();
    forgotten.stream().forEach(page -> expected.add((long) page));
    if (longest.get() <= MOST_NANOS) {
      assertEquals(expected, named, "seed " + seed);
    }
    return longest.get();
  }
}
