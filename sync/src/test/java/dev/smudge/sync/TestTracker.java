package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.internal.collect.ClearingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** Counts what a log asks of its tracker, and fails at a chosen point. */
final class TestTracker implements Tracker {
  /** A failure that was asked for. */
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Fault(String where) {
      super(where);
    }
  }

  private @Nullable Tracker real;
  private final Map<Integer, SlotTracker> parts = new HashMap<>();

  /** Calls but those of afterSync, with their arguments; cleared by the test. */
  final List<String> calls = new ArrayList<>();

  final AtomicInteger barriers = new AtomicInteger();

  private volatile @Nullable Throwable unexpected;

  /** Leaves the barrier out. */
  boolean withoutBarrier;

  /** Points that are passed before one throws; negative: none does. */
  final AtomicInteger untilFault = new AtomicInteger(-1);

  Tracker over(Tracker builtIn) {
    real = builtIn;
    return this;
  }

  DirtyLog log(Mode mode) {
    return mode.builder().errorHandler(this::reported).interceptTracker(this::over).build();
  }

  /**
   * What has no caller to come out at: our own failures are expected there. Others come out of the
   * next call, since what a handler throws goes no further.
   */
  private void reported(Throwable error) {
    if (!(error instanceof Fault)) {
      unexpected = error;
    }
  }

  /** The real tracker's part of a slot. */
  SlotTracker part(LogSlot slot) {
    return Objects.requireNonNull(parts.get(slot.slot.entryId()));
  }

  Tracker real() {
    if (real == null) {
      throw new IllegalStateException("no log yet");
    }
    return real;
  }

  long count(String call) {
    return calls.stream().filter(c -> c.startsWith(call)).count();
  }

  /** Trackers that can collect and clear in one step do; else they do one after the other. */
  boolean clearsAtOnce;

  /** What is thrown is an Error, as where there is no memory. */
  boolean throwsErrors;

  /** Points in a row that throw, once the first does. */
  int faults = 1;

  /** What is thrown is a checked exception, as other languages throw. */
  boolean throwsChecked;

  void point(String where) {
    if (unexpected != null) {
      throw new AssertionError(unexpected);
    }
    if (untilFault.get() > 0) {
      untilFault.getAndDecrement();
    } else if (untilFault.get() == 0) {
      faults--;
      if (faults == 0) {
        faults = 1;
        untilFault.set(-1);
      }
      if (throwsChecked) {
        TestTracker.<RuntimeException>sneak(new IOException("injected " + where));
      }
      if (throwsErrors) {
        throw new OutOfMemoryError("injected " + where);
      }
      throw new Fault(where);
    }
  }

  /** Throws it as it is. */
  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals", "DoNotCallSuggester"})
  static <E extends Throwable> void sneak(Throwable e) throws E {
    throw (E) e;
  }

  /** Calls with a point before and after. */
  private void pass(String what, TrackedSlot slot, Runnable call) {
    point("before " + what);
    calls.add(what + " " + slot.id());
    call.run();
    point("after " + what);
  }

  @Override
  public SlotTracker newSlot(TrackedSlot slot) {
    point("before newSlot");
    SlotTracker part = real().newSlot(slot);
    parts.put(slot.entryId(), part);
    point("after newSlot");
    return clearsAtOnce && part instanceof ClearingTracker both
        ? new ClearingPart(slot, both)
        : new Part(slot, part);
  }

  /** Also passes on that it collects and clears in one step, as the log's own trackers can. */
  private final class ClearingPart extends Part implements ClearingTracker {
    private final ClearingTracker part;

    ClearingPart(TrackedSlot slot, ClearingTracker part) {
      super(slot, part);
      this.part = part;
    }

    @Override
    public boolean collectAndClear(PageSet[] views) {
      point("before collectAndClear");
      calls.add("collectAndClear");
      boolean any = part.collectAndClear(views);
      point("after collectAndClear");
      return any;
    }
  }

  private class Part implements SlotTracker {
    private final TrackedSlot slot;
    private final SlotTracker part;

    Part(TrackedSlot slot, SlotTracker part) {
      this.slot = slot;
      this.part = part;
    }

    @Override
    public void add() {
      pass("add", slot, part::add);
    }

    @Override
    public void remove() {
      pass("remove", slot, part::remove);
    }

    @Override
    public void start() {
      pass("start", slot, part::start);
    }

    @Override
    public void stop() {
      pass("stop", slot, part::stop);
    }

    @Override
    public void collect(PageWordConsumer sink) {
      point("before collect");
      calls.add("collect " + slot.id());
      part.collect((word, bits) -> {
        point("before a word");
        sink.accept(word, bits);
        point("after a word");
      });
      point("after collect");
    }

    @Override
    public void clear(long firstPage, long pageCount, long[] bitmap) {
      point("before clear");
      StringBuilder bits = new StringBuilder();
      for (int i = 0; i < (pageCount + 63) / 64; i++) {
        bits.append(' ').append(Long.toHexString(bitmap[i]));
      }
      calls.add("clear " + slot.id() + " " + firstPage + " " + pageCount + bits);
      part.clear(firstPage, pageCount, bitmap);
      point("after clear");
    }

    @Override
    public void close() {
      part.close();
    }
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    point("before reapRings");
    calls.add("reapRings");
    int entries =
        real()
            .reapRings((slotId, page) -> {
              point("before a page");
              sink.accept(slotId, page);
              point("after a page");
            });
    point("after reapRings");
    return entries;
  }

  @Override
  public boolean hasRings() {
    return real().hasRings();
  }

  @Override
  public boolean isAnyRingHalfFull() {
    return real().isAnyRingHalfFull();
  }

  @Override
  public void afterSync() {
    point("before afterSync");
    barriers.incrementAndGet();
    if (!withoutBarrier) {
      real().afterSync();
    }
    point("after afterSync");
  }
}
