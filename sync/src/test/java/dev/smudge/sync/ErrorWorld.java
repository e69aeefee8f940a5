package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.fail;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A guest with RAM, a vCPU, a device with a log of its own, and clients that keep copies of the
 * RAM. A page that a copy lacks, and that its client is not told of, is a lost write.
 */
final class ErrorWorld {
  static final int PAGE = 4096;
  static final int[] PAGES = {1_000, 130, 70};
  private static final int WRITES = 4;

  /** A client, and what it has read. */
  static final class Seen {
    final String name;
    @Nullable DirtyClient<LogSlot> client;
    final long[][] copy = newRam();
    @Nullable DirtyBatch<LogSlot> open;

    Seen(String name) {
      this.name = name;
    }

    /** It has read what another has. */
    void knowsWhat(Seen other) {
      for (int id = 0; id < copy.length; id++) {
        System.arraycopy(other.copy[id], 0, copy[id], 0, copy[id].length);
      }
    }

    DirtyClient<LogSlot> client() {
      DirtyClient<LogSlot> of = client;
      if (of == null) {
        throw new IllegalStateException("no client " + name);
      }
      return of;
    }
  }

  /** A device that writes, and tells of it when asked. */
  final class Device implements Tracker {
    /**
     * By slot id; two for one while a slot is replaced, and after a change that failed, perhaps.
     */
    private final Map<Integer, List<BitSet>> written = new HashMap<>();

    boolean write(LogSlot slot, int page) {
      List<BitSet> parts = written.getOrDefault(slot.id(), List.of());
      parts.forEach(bits -> bits.set(page));
      return !parts.isEmpty();
    }

    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      tracker.point("newSlot of the device");
      BitSet bits = new BitSet();
      return new SlotTracker() {
        @Override
        public void start() {
          tracker.point("start of the device");
          written.computeIfAbsent(slot.id(), id -> new ArrayList<>()).add(bits);
        }

        @Override
        public void collect(PageWordConsumer sink) {
          tracker.point("before collect of the device");
          long[] words = bits.toLongArray();
          for (int w = 0; w < words.length; w++) {
            if (words[w] != 0) {
              sink.accept(w, words[w]);
            }
          }
          tracker.point("after collect of the device");
        }

        @Override
        public void clear(long firstPage, long pageCount, long[] bitmap) {
          tracker.point("before clear of the device");
          BitSet mask = BitSet.valueOf(bitmap);
          for (int p = mask.nextSetBit(0); p >= 0 && p < pageCount; p = mask.nextSetBit(p + 1)) {
            bits.clear((int) firstPage + p);
          }
          tracker.point("after clear of the device");
        }

        @Override
        @SuppressWarnings("ReferenceEquality") // of this part
        public void close() {
          written.getOrDefault(slot.id(), List.of()).removeIf(other -> other == bits);
        }
      };
    }
  }

  final TestTracker tracker = new TestTracker();
  final Device device = new Device();
  final DirtyLog log;
  final LogVcpu vcpu;
  final Seen a = new Seen("a");
  final Seen b = new Seen("b");
  final Seen extra = new Seen("extra");
  @Nullable SlotChange change;
  @Nullable LogVcpu other;
  @Nullable WriteWatch watch; // that an operation opens
  @Nullable PageWatch pages; // of slot 0
  int told; // writes, by pages
  boolean done;
  final List<Throwable> reported = new ArrayList<>();
  @Nullable Throwable handlerThrows;
  @Nullable Device leaving; // that an operation adds, and closes
  @Nullable Registration registration;
  int released;
  private final long[][] ram = newRam();
  private long version;
  private int step;

  ErrorWorld(Mode mode, boolean clients) {
    tracker.clearsAtOnce = true; // with rings none can
    this.log =
        mode.builder()
            .timeout(Duration.ofSeconds(3))
            .errorHandler(this::report)
            .interceptTracker(tracker::over)
            .build();
    log.addSlot(0, PAGES[0], PAGE);
    log.addSlot(1, PAGES[1], PAGE);
    this.vcpu = log.addVcpu();
    log.addTracker(0, device);
    if (clients) {
      a.client = log.client("a", InitialView.NONE_DIRTY);
      b.client = log.client("b", InitialView.ALL_DIRTY);
    }
  }

  private void report(Throwable e) {
    reported.add(e);
    if (handlerThrows != null) {
      TestTracker.<RuntimeException>sneak(handlerThrows);
    }
  }

  private static long[][] newRam() {
    long[][] ram = new long[PAGES.length][];
    for (int i = 0; i < ram.length; i++) {
      ram[i] = new long[PAGES[i]];
    }
    return ram;
  }

  @Nullable LogSlot slot(int id) {
    try {
      return log.slot(id);
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  SlotChange change() {
    return Objects.requireNonNull(change);
  }

  LogVcpu other() {
    return Objects.requireNonNull(other);
  }

  DirtyBatch<LogSlot> open(Seen seen) {
    return Objects.requireNonNull(seen.open);
  }

  void closeExtra() {
    closeBatch(extra);
    if (extra.client != null) {
      extra.client.close();
      extra.client = null;
    }
  }

  void removeIfThere(int id) {
    LogSlot slot = slot(id);
    if (slot != null) {
      log.change().remove(slot).commit();
    }
  }

  /** A device that has written, and whose pages nobody has fetched. */
  void addLeaving() {
    Device device = new Device();
    leaving = device;
    registration = log.addTracker(1, device);
    for (int page = 3; page < PAGES[0]; page += 100) {
      if (device.write(log.slot(0), page)) {
        store(0, page);
      }
    }
  }

  Registration registration() {
    return Objects.requireNonNull(registration);
  }

  /** A new slot: nobody knows its pages. */
  void forget(int id) {
    for (int page = 0; page < PAGES[id]; page++) {
      store(id, page);
    }
  }

  void store(int slotId, int page) {
    ram[slotId][page] = ++version;
  }

  /** The guest, a device model and the device write a few pages, with plenty of stack. */
  void write() {
    step++;
    for (int id = 0; id < PAGES.length; id++) {
      LogSlot slot = slot(id);
      if (slot == null) {
        continue;
      }
      for (int i = 0; i < WRITES; i++) {
        int page = (step * 37 + i * 211) % PAGES[id];
        store(id, page);
        vcpu.mark(slot, (long) page * PAGE, 1);
        int other = (step * 13 + i * 97) % PAGES[id];
        store(id, other);
        log.mark(slot, (long) other * PAGE, 1);
        int third = (step * 7 + i * 53) % PAGES[id];
        if (device.write(slot, third)) {
          store(id, third);
        }
      }
    }
    vcpu.offline();
  }

  void read(Seen seen, int slotId, long first, long count) {
    System.arraycopy(ram[slotId], (int) first, seen.copy[slotId], (int) first, (int) count);
  }

  void readAll(Seen seen) {
    for (int id = 0; id < PAGES.length; id++) {
      read(seen, id, 0, PAGES[id]);
    }
  }

  /** Reads pages of the open batch and acknowledges them, every other run if {@code half}. */
  void read(Seen seen, boolean half) {
    DirtyBatch<LogSlot> batch = seen.open;
    if (batch == null) {
      return;
    }
    int[] runs = new int[1];
    batch.forEachRun(
        3,
        (slot, first, count) -> {
          if (!half || runs[0]++ % 2 == 0) {
            read(seen, slot.id(), first, count);
            batch.acknowledge(slot, first, count);
          }
        });
  }

  void closeBatch(Seen seen) {
    DirtyBatch<LogSlot> batch = seen.open;
    if (batch != null) {
      batch.close();
      seen.open = null;
    }
  }

  /** Takes until nothing is left, and compares. */
  void check(Seen seen) {
    if (seen.client == null) {
      return;
    }
    closeBatch(seen);
    seen.open = seen.client().take();
    read(seen, false);
    closeBatch(seen);
    compare(seen);
  }

  private void compare(Seen seen) {
    for (int id = 0; id < PAGES.length; id++) {
      if (slot(id) != null) {
        int page = Arrays.mismatch(ram[id], seen.copy[id]);
        if (page >= 0) {
          fail(
              "lost for client "
                  + seen.name
                  + ": page "
                  + page
                  + " of slot "
                  + id
                  + " has version "
                  + ram[id][page]
                  + ", its copy "
                  + seen.copy[id][page]);
        }
      }
    }
  }

  /** What a removed slot has to have: what one of the clients had not read. */
  void checkRemoved(int id, RemovedSlot<LogSlot> removed) {
    BitSet dirty = new BitSet();
    removed.forEachRun((slot, first, count) -> dirty.set((int) first, (int) (first + count)));
    for (Seen seen : List.of(a, b)) {
      for (int page = 0; page < PAGES[id]; page++) {
        if (seen.client != null && seen.copy[id][page] != ram[id][page] && !dirty.get(page)) {
          fail("lost for the remover: page " + page + " of slot " + id + ", for " + seen.name);
        }
      }
    }
  }

  PageWatch pages() {
    PageWatch open = pages;
    if (open == null || open.isEnded()) {
      closePages();
      open = log.watchPages(log.slot(0), (at, length) -> told++);
      pages = open;
    }
    return open;
  }

  void closePages() {
    if (pages != null) {
      pages.close();
      pages = null;
    }
  }

  void closeWatch() {
    if (watch != null) {
      watch.close();
      watch = null;
    }
  }

  /** A page that is armed tells of the next mark, of whichever kind. */
  void checkPages() {
    pages().arm(0, (long) PAGES[0] * PAGE);
    int before = told;
    vcpu.mark(log.slot(0), 40 * PAGE, 1);
    vcpu.offline();
    log.mark(log.slot(0), 41 * PAGE, 1);
    if (told != before + 2) {
      fail("of two writes to pages that were armed, " + (told - before) + " were told");
    }
  }

  /** Where there are no clients, and all watches were closed, nothing is tracked. */
  void checkNothingIsTracked() {
    log.sync(); // the lock is taken: what was cut short is finished
    String last = "stop 0";
    for (String call : tracker.calls) {
      if (call.equals("start 0") || call.equals("stop 0")) {
        last = call;
      }
    }
    if (!last.equals("stop 0")) {
      fail("all watches were closed, and their client is there");
    }
    for (int page = 0; page < PAGES[0]; page++) {
      if (!log.slot(0).isMarked(page)) {
        fail("all watches were closed, and page " + page + " is armed");
      }
    }
    tracker.calls.clear();
  }

  /** Nothing is lost, and nothing that is written from now on. */
  void check() {
    check(a);
    check(b);
    write();
    check(a);
    check(b);
  }
}
