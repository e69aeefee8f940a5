package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Guests, devices, clients and slots that come and go at once; each client keeps a copy. */
@Timeout(value = 180, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class ChurnTest {
  private static final int PAGES = 1_100;
  private static final int SLOTS = 4;
  private static final int VCPUS = 2;
  private static final int CELLS = 4; // of a page: one a writer, and one of nobody

  private final TestTracker counts = new TestTracker();
  private final DirtyLog log;

  /** RAM of each slot; a cell is written by one thread: the vCPUs, then a device. */
  private final long[][] ram = new long[SLOTS][PAGES * CELLS];

  private final AtomicLongArray slotsAdded = new AtomicLongArray(1);

  ChurnTest(Mode mode) {
    this.log = counts.log(mode);
  }

  private void addSlot() {
    int id = (int) slotsAdded.get(0);
    log.addSlot(id, PAGES, CELLS);
    slotsAdded.set(0, id + 1L);
  }

  private void write(SplittableRandom random, int writer, long version, @Nullable LogVcpu vcpu) {
    int slot = random.nextInt((int) slotsAdded.get(0));
    int cell = random.nextInt(PAGES) * CELLS + writer;
    ram[slot][cell] = version;
    if (vcpu == null) {
      log.mark(log.slot(slot), cell, 1);
    } else {
      vcpu.mark(log.slot(slot), cell, 1);
    }
  }

  private static void copy(long[][] from, long[][] to, DirtyBatch<LogSlot> batch) {
    batch.forEachRun((slot, first, count) ->
        System.arraycopy(
            from[slot.id()],
            (int) first * CELLS,
            to[slot.id()],
            (int) first * CELLS,
            (int) count * CELLS));
  }

  @Test
  void everything_comesAndGoesAtAnyTime_everyCopyEqualsRamInTheEnd() {
    addSlot();
    AtomicBoolean stopWriters = new AtomicBoolean();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger clientsFinished = new AtomicInteger();
    List<GuestThread> threads = new ArrayList<>();
    List<Future<?>> writers = new ArrayList<>();
    for (int w = 0; w <= VCPUS; w++) {
      int writer = w;
      GuestThread thread = new GuestThread("writer " + w);
      threads.add(thread);
      writers.add(
          thread.begin(() -> {
            SplittableRandom random = new SplittableRandom(writer);
            LogVcpu vcpu = writer == VCPUS ? null : log.addVcpu();
            for (long version = 1; !stopWriters.get(); version++) {
              if (vcpu != null) {
                vcpu.safepoint(); // first: it may be offline
                if (version % 512 == 0) {
                  vcpu.offline();
                }
                if (version % 5_000 == 0) {
                  vcpu.close();
                  vcpu = log.addVcpu();
                }
                if (version % 512 == 0 || version % 5_000 == 0) {
                  vcpu.online();
                }
              }
              write(random, writer, version, vcpu);
            }
            if (vcpu != null) {
              vcpu.close();
            }
          }));
    }
    // Clients that live from start to end, and one thread whose clients come and go.
    List<long[][]> copies = new ArrayList<>();
    List<DirtyClient<LogSlot>> clients = new ArrayList<>();
    List<Future<?>> collectors = new ArrayList<>();
    for (int c = 0; c < 2; c++) {
      long[][] copy = new long[SLOTS][PAGES * CELLS];
      copies.add(copy);
      DirtyClient<LogSlot> client = log.client("c" + c, InitialView.ALL_DIRTY);
      clients.add(client);
      int kind = c;
      GuestThread thread = new GuestThread("collector " + c);
      threads.add(thread);
      collectors.add(
          thread.begin(() -> {
            for (int i = 0; !stop.get(); i++) {
              try (DirtyBatch<LogSlot> batch = kind == 0 ? client.take() : client.takeAtMost(200)) {
                if (i % 5 != 0) {
                  copy(ram, copy, batch);
                  batch.commit();
                }
              }
            }
          }));
    }
    try (GuestThread churn = new GuestThread("churn")) {
      churn.run(() -> {
        for (int i = 0; i < 300; i++) {
          InitialView initial = i % 2 == 0 ? InitialView.NONE_DIRTY : InitialView.ALL_DIRTY;
          try (DirtyClient<LogSlot> client = log.client("short", initial)) {
            client.takeAtMost(1 + i % 50).close();
            client.discard(log.slot(0), 0, 64);
          }
          clientsFinished.incrementAndGet();
          if (i % 75 == 74 && slotsAdded.get(0) < SLOTS) {
            addSlot();
          }
        }
      });
    }
    stopWriters.set(true);
    writers.forEach(GuestThread::end); // before the collectors: one may wait for room in its ring
    stop.set(true);
    collectors.forEach(GuestThread::end);
    assertEquals(300, clientsFinished.get());
    assertEquals(SLOTS, slotsAdded.get(0));
    for (int c = 0; c < clients.size(); c++) {
      try (DirtyBatch<LogSlot> batch = clients.get(c).take()) {
        copy(ram, copies.get(c), batch);
        batch.commit();
      }
      for (int s = 0; s < SLOTS; s++) {
        for (int i = 0; i < ram[s].length; i++) {
          assertEquals(ram[s][i], copies.get(c)[s][i], "client " + c + ", slot " + s + ":" + i);
        }
      }
    }
    threads.forEach(GuestThread::close);
    assertTrue(counts.barriers.get() > 600);
  }
}
