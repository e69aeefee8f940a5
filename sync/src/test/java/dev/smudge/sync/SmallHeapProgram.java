package dev.smudge.sync;

import java.lang.ref.Reference;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Runs out of memory in a sync, a take, a close, a discard, and the first mark of a thread, at
 * every point: with a heap that is full but for so many blocks, one more each time. A program of
 * its own, because it needs a small heap for itself; {@link SmallHeapTest} runs it.
 */
final class SmallHeapProgram {
  private static final int CHUNKS = 64;
  private static final int CHUNK = 32_768; // pages of a chunk of a page set
  private static final int PAGE = 4096;
  private static final int MOST_FREE = 60;
  private static final int BLOCK = 16 * 1024 - 16;

  private static Object @Nullable [] ballast;
  private static int cutShort;

  private SmallHeapProgram() {}

  enum Call {
    SYNC,
    TAKE,
    CLOSE,
    DISCARD,
    MARK
  }

  public static void main(String[] args) {
    int step = Integer.parseInt(args[0]); // of the memory that is left
    for (Mode mode : Mode.values()) {
      for (Call call : Call.values()) {
        new Round(mode, call).run(Integer.MAX_VALUE); // what is linked at first use is
        for (int free = 0; free < MOST_FREE; free += step) {
          new Round(mode, call).run(free);
        }
      }
    }
    if (cutShort < 200 / step) {
      throw new AssertionError("only " + cutShort + " calls ran out of memory");
    }
  }

  private static final class Round {
    final String name;
    final Call call;
    final DirtyLog log;
    final LogSlot slot;
    final LogVcpu vcpu;
    final DirtyClient<LogSlot> one;
    final DirtyClient<LogSlot> two;
    final BitSet marked = new BitSet();

    Round(Mode mode, Call call) {
      this.name = mode + " " + call;
      this.call = call;
      this.log = mode.builder().errorHandler(e -> {}).build();
      this.slot = log.addSlot(0, (long) CHUNKS * CHUNK, PAGE);
      this.vcpu = log.addVcpu();
      this.one = log.client("one", InitialView.NONE_DIRTY);
      this.two = log.client("two", InitialView.NONE_DIRTY);
    }

    private void mark(int offset) {
      for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int page = chunk * CHUNK + offset;
        vcpu.mark(slot, (long) page * PAGE, 1);
        marked.set(page);
        if (offset < 1_000) { // not the first: the views are lists until the call
          log.mark(slot, (page + 64L) * PAGE, 1);
          marked.set(page + 64);
        }
      }
    }

    void run(int free) {
      mark(1_000);
      log.sync();
      mark(500);
      DirtyBatch<LogSlot> open = null;
      if (call == Call.CLOSE) {
        open = one.take();
        mark(300);
        log.sync();
      }
      vcpu.offline();
      Marker marker = new Marker(log, slot);
      if (call == Call.MARK) {
        marker.start();
        marked.set(Marker.PAGE_NUMBER);
      }
      boolean failed = false;
      if (free < MOST_FREE) {
        fill(free);
      }
      try {
        switch (call) {
          case SYNC -> log.sync();
          case TAKE -> open = one.take();
          case CLOSE -> Objects.requireNonNull(open).close();
          case DISCARD -> one.discard(slot, 0, 1);
          case MARK -> marker.mark();
        }
      } catch (OutOfMemoryError | BootstrapMethodError e) {
        failed = true;
      } finally {
        Reference.reachabilityFence(ballast);
      }
      ballast = null;
      cutShort += failed ? 1 : 0;
      if (open != null) {
        open.close();
      }
      check(free, "after it");
      marked.clear();
      mark(500);
      mark(1_000);
      vcpu.offline();
      check(free, "later marks");
      log.close();
    }

    private void check(int free, String when) {
      for (DirtyClient<LogSlot> client : List.of(one, two)) {
        BitSet lost = (BitSet) marked.clone();
        try (DirtyBatch<LogSlot> batch = client.take()) {
          batch.forEachRun((of, first, count) -> lost.clear((int) first, (int) (first + count)));
          batch.commit();
        }
        if (!lost.isEmpty()) {
          throw new AssertionError(
              name
                  + " with "
                  + free
                  + " blocks free, "
                  + when
                  + ": "
                  + lost.cardinality()
                  + " of "
                  + marked.cardinality()
                  + " pages are lost for client "
                  + client);
        }
      }
    }
  }

  /** A thread that has never marked, and has no variables: what it needs is made by its mark. */
  private static final class Marker extends Thread {
    static final int PAGE_NUMBER = 7 * CHUNK + 2_000;

    private final DirtyLog log;
    private final LogSlot slot;
    private volatile boolean begun;
    private volatile boolean ended;
    private @Nullable Error thrown;

    Marker(DirtyLog log, LogSlot slot) {
      this.log = log;
      this.slot = slot;
      setDaemon(true);
    }

    /** Lets the thread mark, and waits for that. */
    void mark() {
      begun = true;
      while (!ended) {
        Thread.onSpinWait();
      }
      Error e = thrown;
      if (e != null) {
        throw e;
      }
    }

    @Override
    public void run() {
      while (!begun) {
        Thread.onSpinWait(); // a wait would make what the mark is to lack
      }
      try {
        log.mark(slot, (long) PAGE_NUMBER * PAGE, 1);
      } catch (Error e) {
        thrown = e;
      } finally {
        ended = true;
      }
    }
  }

  /** Fills the heap, and leaves so many blocks. */
  private static void fill(int free) {
    Object[] blocks = new Object[100_000];
    int large = fill(blocks, 0, BLOCK);
    fill(blocks, large, 512);
    for (int i = 0; i < free && i < large; i++) {
      blocks[large - 1 - i] = null;
    }
    ballast = blocks;
  }

  private static int fill(Object[] blocks, int from, int size) {
    int length = from;
    try {
      while (length < blocks.length) {
        blocks[length] = new byte[size];
        length++;
      }
    } catch (OutOfMemoryError e) {
      return length;
    }
    return length;
  }
}
