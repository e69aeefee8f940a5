package dev.smudge.jcstress;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.RingFullPolicy;
import dev.smudge.sync.tracker.Tracker;
import java.util.function.UnaryOperator;

/**
 * What the states of the tests of the shipped classes have in common: a guest of a few pages with
 * one vCPU, and a client that sees all pages as dirty, so that none is armed before its first take.
 */
final class Guest {
  final Ram ram = new Ram();
  final DirtyLog log;
  final LogSlot slot;
  final LogVcpu vcpu;
  final DirtyClient<LogSlot> client;

  Guest() {
    this(UnaryOperator.identity());
  }

  Guest(UnaryOperator<Tracker> interceptor) {
    this(interceptor, () -> {});
  }

  Guest(UnaryOperator<Tracker> interceptor, Runnable armCallback) {
    this(DirtyLog.builder().interceptTracker(interceptor), armCallback);
  }

  private Guest(DirtyLogBuilder builder, Runnable armCallback) {
    log = builder.build();
    slot = log.addSlot(0, Ram.PAGES, 1);
    vcpu = log.addVcpu(armCallback);
    client = log.client("first", InitialView.ALL_DIRTY);
  }

  /** A guest whose vCPU has a ring; all pages are armed. What has no room goes to the bitmap. */
  static Guest withRing(int entries, UnaryOperator<Tracker> interceptor, Runnable armCallback) {
    Guest guest =
        new Guest(
            DirtyLog.builder().ring(entries, 0, RingFullPolicy.SPILL).interceptTracker(interceptor),
            armCallback);
    guest.take(guest.client);
    return guest;
  }

  /**
   * The vCPU's state is in the caller's cache afterwards, so that the vCPU's next store to it stays
   * in its store buffer for longer.
   */
  void shareState() {
    if (vcpu.toString().isEmpty()) {
      throw new AssertionError();
    }
  }

  /** The vCPU stores to each page, then marks it. */
  void writeAll(int value) {
    write(0, Ram.PAGES, value);
  }

  void write(int from, int to, int value) {
    for (int page = from; page < to; page++) {
      ram.store(page, value);
      vcpu.mark(slot, page, 1);
    }
  }

  /** Writes without a mark to pages that are in the write TLB, and puts the others into it. */
  void writeAll(Tlb tlb, int value) {
    writeAll(vcpu, tlb, value);
  }

  void writeAll(LogVcpu by, Tlb tlb, int value) {
    for (int page = 0; page < Ram.PAGES; page++) {
      ram.store(page, value);
      if ((tlb.entries & 1L << page) == 0) {
        by.mark(slot, page, 1);
        tlb.entries |= 1L << page;
      }
    }
  }

  /** A vCPU's write TLB. */
  static final class Tlb {
    private long entries;

    void drop() {
      entries = 0;
    }
  }

  /** Takes and reads all that is dirty. */
  Taken take(DirtyClient<LogSlot> from) {
    return take(from.take());
  }

  /** Reads what was taken. */
  Taken take(DirtyBatch<LogSlot> batch) {
    Taken taken = new Taken();
    try (batch) {
      batch.forEachRun((slotId, first, count) -> {
        for (int page = (int) first; page < first + count; page++) {
          taken.pages |= 1L << page;
          taken.content[page] = ram.load(page);
        }
      });
      batch.commit();
    }
    return taken;
  }

  /** What one take got. */
  static final class Taken {
    long pages;
    final int[] content = new int[Ram.PAGES];

    /** What a later take of the same client got besides. */
    void then(Taken later) {
      for (int page = 0; page < Ram.PAGES; page++) {
        if ((later.pages & 1L << page) != 0) {
          content[page] = later.content[page];
        }
      }
      pages |= later.pages;
    }

    /** Whether a page of it was read before the guest had written this. */
    boolean isOlderThan(int value) {
      for (int page = 0; page < Ram.PAGES; page++) {
        if ((pages & 1L << page) != 0 && content[page] < value) {
          return true;
        }
      }
      return false;
    }

    /**
     * How many pages do not have the value that the guest wrote last, and are not in a later take.
     */
    int lost(Ram ram, Taken later) {
      int lost = 0;
      for (int page = 0; page < Ram.PAGES; page++) {
        if (content[page] != ram.load(page) && (later.pages & 1L << page) == 0) {
          lost++;
        }
      }
      return lost;
    }
  }
}
