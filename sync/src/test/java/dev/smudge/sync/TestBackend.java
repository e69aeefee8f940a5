package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** Counts what a log asks of its backend, and fails at a chosen point. */
final class TestBackend implements DirtyLogBackend {
  /** A failure that was asked for. */
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Fault(String where) {
      super(where);
    }
  }

  private @Nullable DirtyLogBackend real;

  /** Calls but those of afterSync, with their arguments; cleared by the test. */
  final List<String> calls = new ArrayList<>();

  final AtomicInteger barriers = new AtomicInteger();

  /** Leaves the barrier out. */
  boolean withoutBarrier;

  /** Points that are passed before one throws; negative: none does. */
  final AtomicInteger untilFault = new AtomicInteger(-1);

  DirtyLogBackend over(DirtyLogBackend builtIn) {
    real = builtIn;
    return this;
  }

  DirtyLog log(Mode mode) {
    return mode.builder().interceptBackend(this::over).build();
  }

  DirtyLogBackend real() {
    if (real == null) {
      throw new IllegalStateException("no log yet");
    }
    return real;
  }

  long count(String call) {
    return calls.stream().filter(c -> c.startsWith(call)).count();
  }

  private void point(String where) {
    if (untilFault.get() >= 0 && untilFault.getAndDecrement() == 0) {
      throw new Fault(where);
    }
  }

  @Override
  public void changeSlots(List<LogSlot> removed, List<LogSlot> added, Runnable change) {
    point("before changeSlots");
    real().changeSlots(removed, added, change);
  }

  @Override
  public void addSlot(LogSlot slot) {
    point("before addSlot");
    calls.add("addSlot " + slot.id());
    real().addSlot(slot);
    point("after addSlot");
  }

  @Override
  public void removeSlot(LogSlot slot) {
    point("before removeSlot");
    calls.add("removeSlot " + slot.id());
    real().removeSlot(slot);
    point("after removeSlot");
  }

  @Override
  public void startLog(LogSlot slot) {
    point("before startLog");
    calls.add("startLog " + slot.id());
    real().startLog(slot);
    point("after startLog");
  }

  @Override
  public void stopLog(LogSlot slot) {
    point("before stopLog");
    calls.add("stopLog " + slot.id());
    real().stopLog(slot);
    point("after stopLog");
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
  public void getDirtyLog(LogSlot slot, PageWordConsumer sink) {
    point("before getDirtyLog");
    calls.add("getDirtyLog " + slot.id());
    real()
        .getDirtyLog(
            slot,
            (word, bits) -> {
              point("before a word");
              sink.accept(word, bits);
              point("after a word");
            });
    point("after getDirtyLog");
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    point("before clearDirtyLog");
    StringBuilder bits = new StringBuilder();
    for (int i = 0; i < (pageCount + 63) / 64; i++) {
      bits.append(' ').append(Long.toHexString(bitmap[i]));
    }
    calls.add("clearDirtyLog " + slot.id() + " " + firstPage + " " + pageCount + bits);
    real().clearDirtyLog(slot, firstPage, pageCount, bitmap);
    point("after clearDirtyLog");
  }

  @Override
  public boolean isAnyRingHalfFull() {
    return real().isAnyRingHalfFull();
  }

  @Override
  public Runnable pauseVcpus() {
    return real().pauseVcpus();
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
