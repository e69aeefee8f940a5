package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.collect.VerifiedSlot.Difference;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.verify.PageContent;
import dev.smudge.sync.verify.UnreportedWriteException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The verify mode: names pages that have changed and were not reported.
 *
 * <p>Each fetch of a take or a sync is followed by a look at the known pages ({@link
 * VerifiedSlot}). A difference is not named at once: its writer may have stored a moment ago, and
 * mark a moment later. A vCPU has marked by its next safepoint, so a difference that the fetch
 * after a barrier does not report was not marked by a vCPU. A writer without a vCPU takes part in
 * no barrier, and may lose the processor between its store and its mark. So a difference is named
 * by the first look that comes at least {@link #PATIENCE_NANOS} later. Nobody writes beside a take
 * of a log whose guest is stopped: there it is named at once, unless an asynchronous write is open
 * there, which will mark it. While a device leaves, no difference is named: the device tells of
 * what it has written since it was closed when it has left. But if it does not leave within the
 * timeout of the log, because nobody runs the tasks of RCU, differences are named again.
 *
 * <p>Not seen are a write that leaves the content as it was, unless an oracle looks ({@link
 * VerifiedByOracle}), and one that comes between the barrier of the take in which its page was
 * armed and the moment from which on it is known.
 */
public final class WriteVerifier extends Verification {
  /** How long a writer without a vCPU may take from its store to its mark. */
  static final long PATIENCE_NANOS = 100_000_000;

  private static final int MOST_SUPPRESSED = 15;

  /** Pages that were armed, per slot. */
  private record ArmedPages(Map<VerifiedSlot, PageSet> pages, long look) implements Armed {}

  private @Nullable PageContent content; // null: not known yet
  private final @Nullable Tracker oracle; // null: copies are compared
  private boolean oracleFailed;
  private final boolean required;
  private final boolean stopped;
  private final @Nullable Consumer<? super Throwable> handler;
  private final Map<Slot, VerifiedSlot> verifiedSlots = new HashMap<>();
  private long looks;
  private String lastLook = "the start of the log";

  /**
   * Makes one.
   *
   * @param content null: whoever claims the log knows it
   * @param oracle finds what was written; null: copies are compared
   * @param required whether a log whose content is not known is refused; else it is not verified
   * @param stopped whether nobody writes while pages are taken
   * @param handler is told; null: an exception is thrown
   */
  public WriteVerifier(
      Collector collector,
      @Nullable PageContent content,
      @Nullable Tracker oracle,
      boolean required,
      boolean stopped,
      @Nullable Consumer<? super Throwable> handler) {
    super(collector);
    this.content = content;
    this.oracle = oracle;
    this.required = required;
    this.stopped = stopped;
    this.handler = handler;
  }

  @Override
  void content(PageContent known) {
    if (content == null) {
      content = known;
    }
  }

  @Override
  void checkStart() {
    if (content == null && oracle == null && required) {
      throw new IllegalStateException(
          "this log has to verify writes, but cannot read its pages: use"
              + " DirtyLogBuilder.verify(PageContent), or make a GuestMemory over the log");
    }
  }

  @Override
  void fetch(boolean all, Object by) {
    // Before the fetch: it finds the marks of those that have ended.
    for (VerifiedSlot verified : verifiedSlots.values()) {
      attempt(verified, () -> verified.excuseWritten(looks + 1));
    }
    collector.fetch(all);
    look(String.valueOf(by));
  }

  private void look(String by) {
    looks++;
    String now = "take " + looks + (by.isEmpty() ? "" : " by " + by);
    String between = "between " + lastLook + " and " + now;
    lastLook = now;
    forgetAllBut(List.of(collector.slots().used()));
    List<UnreportedWriteException> named = new ArrayList<>();
    for (VerifiedSlot verified : verifiedSlots.values()) {
      if (!stopped) {
        name(verified, named);
      }
      attempt(verified, () -> verified.look(between, looks));
      if (stopped) {
        attempt(verified, () -> verified.excuseWritten(looks));
        name(verified, named);
      }
    }
    report(named);
  }

  private void forgetAllBut(List<Slot> slots) {
    verifiedSlots
        .values()
        .removeIf(verified -> {
          boolean gone = !slots.contains(verified.slot());
          if (gone) {
            verified.slot().views().verifyBy(null);
            collector.attempt(verified::close);
          }
          return gone;
        });
  }

  private void attempt(VerifiedSlot verified, Runnable step) {
    try {
      step.run();
    } catch (Throwable e) { // Errors of RAM that faults, and checked ones of other languages
      collector.lock().keepInMind(e);
      Throwable first = verified.cannotLook(e);
      if (first != null) {
        collector.vcpus().errorHandler().accept(first);
      }
    }
  }

  private void name(VerifiedSlot verified, List<UnreportedWriteException> named) {
    long now = System.nanoTime();
    if (collector.devices().isAnyLeaving()) {
      for (Difference difference : verified.differences().values()) {
        difference.seenNanos = now;
      }
      return; // it may be what the device has written, and has not told of yet
    }
    for (Difference difference : List.copyOf(verified.differences().values())) {
      boolean late = difference.barrierPassed && now - difference.seenNanos >= PATIENCE_NANOS;
      if (stopped ? !difference.beingWritten : late) {
        named.add(exception(verified.slot(), difference));
        // From here on it is dirty, and no difference.
        verified.slot().views().tell((int) (difference.page >>> 6), 1L << difference.page);
      }
    }
  }

  private static UnreportedWriteException exception(Slot slot, Difference difference) {
    long offset = (difference.page << slot.pageShift()) + difference.offset;
    Object where = slot.attachment() == null ? slot : slot.attachment();
    return new UnreportedWriteException(
        String.format(
            Locale.ROOT,
            "page %d of %s %s %s. The code that stores there has to use the accessors, or to"
                + " mark after its store. The page is dirty for every client now",
            difference.page,
            where,
            difference.what,
            difference.between),
        slot.id(),
        difference.page,
        offset);
  }

  private void report(List<UnreportedWriteException> named) {
    if (named.isEmpty()) {
      return;
    }
    if (handler != null) {
      named.forEach(handler);
      return;
    }
    UnreportedWriteException first = named.get(0);
    if (named.size() > 1) {
      first =
          new UnreportedWriteException(
              first.getMessage() + "; " + (named.size() - 1) + " more page(s) changed, too",
              first.slotId(),
              first.pageIndex(),
              first.byteOffset());
      named.stream().skip(1).limit(MOST_SUPPRESSED).forEach(first::addSuppressed);
    }
    throw first;
  }

  @Override
  @Nullable Armed armed() {
    Map<VerifiedSlot, PageSet> pages = new HashMap<>();
    ArmedPages armed = new ArmedPages(pages, looks);
    for (Slot slot : collector.slots().used()) {
      VerifiedSlot verified = verifiedSlots.get(slot);
      if (verified == null) {
        verified = newVerified(slot);
        if (verified == null) {
          continue;
        }
        verifiedSlots.put(slot, verified);
      }
      slot.views().verifyBy(verified);
      pages.put(verified, verified.arm());
    }
    return armed;
  }

  /** Of the oracle, or if there is none or it cannot, of copies; null: of neither. */
  private @Nullable VerifiedSlot newVerified(Slot slot) {
    PageContent of = content;
    Tracker by = oracle;
    if (by != null) {
      try {
        return new VerifiedByOracle(slot, by, of);
      } catch (Throwable e) {
        collector.lock().keepInMind(e);
        if (!oracleFailed) {
          oracleFailed = true;
          collector.vcpus().errorHandler().accept(e);
        }
      }
    }
    return of == null ? null : new VerifiedByCopies(slot, of);
  }

  @Override
  @SuppressWarnings("ReferenceEquality")
  void barrierPassed(@Nullable Armed armed) {
    if (!(armed instanceof ArmedPages passed)) {
      return;
    }
    collector
        .lock()
        .run(() -> {
          passed.pages.forEach((verified, pages) -> {
            if (verifiedSlots.get(verified.slot()) == verified
                && collector.slots().find(verified.slot().id()) == verified.slot()) {
              attempt(verified, () -> verified.learn(pages));
            }
          });
          barrierPassed(passed.look);
          drop(armed);
        });
  }

  /** For all that were seen by that look or before. */
  private void barrierPassed(long look) {
    for (VerifiedSlot verified : verifiedSlots.values()) {
      for (Difference difference : verified.differences().values()) {
        difference.barrierPassed |= difference.look <= look;
      }
    }
  }

  @Override
  void drop(@Nullable Armed armed) {
    if (armed instanceof ArmedPages dropped) {
      dropped.pages.forEach(VerifiedSlot::disarm);
    }
  }

  @Override
  void stopLog() {
    forgetAllBut(List.of());
  }

  @Override
  void close() {
    Tracker by = oracle;
    if (by != null) {
      by.close();
    }
  }

  @Override
  public void lastLook(@Nullable ClientView leaving) {
    if (stopped || collector.isLockedByMe() || !isLast(leaving)) {
      return;
    }
    // Differences first, then a barrier, and time for those who take part in none.
    long[] look = {lookAgain()}; // in an array: a lambda over a long may stay unlinked
    collector.afterSync();
    boolean wait =
        collector.underLock(() -> {
          barrierPassed(look[0]);
          return verifiedSlots.values().stream()
              .anyMatch(verified -> !verified.differences().isEmpty());
        });
    if (wait) {
      long until = System.nanoTime() + PATIENCE_NANOS;
      for (long left = PATIENCE_NANOS; left > 0; left = until - System.nanoTime()) {
        LockSupport.parkNanos(left);
      }
      lookAgain();
    }
  }

  @SuppressWarnings("ReferenceEquality")
  private boolean isLast(@Nullable ClientView leaving) {
    return collector.underLock(() -> {
      ClientView[] all = collector.clients().all();
      return leaving == null
          ? all.length > 0
          : leaving.takes()
              && Arrays.stream(all).noneMatch(c -> c.takes() && c != leaving)
              && Arrays.asList(all).contains(leaving);
    });
  }

  private long lookAgain() {
    return collector.underLock(() -> {
      if (collector.clients().isAny()) {
        fetch(false, "");
      }
      return looks;
    });
  }
}
