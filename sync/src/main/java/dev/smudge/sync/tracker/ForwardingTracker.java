package dev.smudge.sync.tracker;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Passes everything on to another tracker. Extend it to count, to trace or to fail at a step, and
 * put it in front with {@code DirtyLogBuilder.interceptTracker}. The methods for calls of {@link
 * SlotTracker} have the slot as a parameter: override {@link #collect}, for example, to see every
 * fetch of every slot.
 */
public class ForwardingTracker implements Tracker {
  private final Tracker tracker;

  /**
   * Makes one.
   *
   * @param tracker gets every call
   */
  public ForwardingTracker(Tracker tracker) {
    this.tracker = Objects.requireNonNull(tracker, "tracker");
  }

  @Override
  public SlotTracker newSlot(TrackedSlot slot) {
    return new Part(slot, tracker.newSlot(slot));
  }

  @Override
  public void startLog() {
    tracker.startLog();
  }

  @Override
  public void stopLog() {
    tracker.stopLog();
  }

  @Override
  public boolean hasRings() {
    return tracker.hasRings();
  }

  @Override
  public boolean isAnyRingHalfFull() {
    return tracker.isAnyRingHalfFull();
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    return tracker.reapRings(sink);
  }

  @Override
  public void afterSync() {
    tracker.afterSync();
  }

  @Override
  public void detach() {
    tracker.detach();
  }

  @Override
  public void close() {
    tracker.close();
  }

  @Override
  public @Nullable TrackerVcpus vcpus() {
    return tracker.vcpus();
  }

  // Per slot.

  /**
   * {@link SlotTracker#add}.
   *
   * @param slot the slot
   * @param to gets the call
   */
  protected void add(TrackedSlot slot, SlotTracker to) {
    to.add();
  }

  /**
   * {@link SlotTracker#start}.
   *
   * @param slot the slot
   * @param to gets the call
   */
  protected void start(TrackedSlot slot, SlotTracker to) {
    to.start();
  }

  /**
   * {@link SlotTracker#stop}.
   *
   * @param slot the slot
   * @param to gets the call
   */
  protected void stop(TrackedSlot slot, SlotTracker to) {
    to.stop();
  }

  /**
   * {@link SlotTracker#collect}.
   *
   * @param slot the slot
   * @param to gets the call
   * @param sink gets the words
   */
  protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
    to.collect(sink);
  }

  /**
   * {@link SlotTracker#clear}.
   *
   * @param slot the slot
   * @param to gets the call
   * @param firstPage first page of the range
   * @param pageCount pages of the range
   * @param bitmap which of them
   */
  protected void clear(
      TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
    to.clear(firstPage, pageCount, bitmap);
  }

  /**
   * {@link SlotTracker#remove}.
   *
   * @param slot the slot
   * @param to gets the call
   */
  protected void remove(TrackedSlot slot, SlotTracker to) {
    to.remove();
  }

  private final class Part implements SlotTracker {
    private final TrackedSlot slot;
    private final SlotTracker to;

    Part(TrackedSlot slot, SlotTracker to) {
      this.slot = slot;
      this.to = to;
    }

    @Override
    public void add() {
      ForwardingTracker.this.add(slot, to);
    }

    @Override
    public void start() {
      ForwardingTracker.this.start(slot, to);
    }

    @Override
    public void stop() {
      ForwardingTracker.this.stop(slot, to);
    }

    @Override
    public void collect(PageWordConsumer sink) {
      ForwardingTracker.this.collect(slot, to, sink);
    }

    @Override
    public void expectClear() {
      to.expectClear();
    }

    @Override
    public void clear(long firstPage, long pageCount, long[] bitmap) {
      ForwardingTracker.this.clear(slot, to, firstPage, pageCount, bitmap);
    }

    @Override
    public void remove() {
      ForwardingTracker.this.remove(slot, to);
    }

    @Override
    public void close() {
      to.close();
    }
  }

  @Override
  public String toString() {
    String name = getClass().getSimpleName(); // an anonymous class has none
    return (name.isEmpty() ? getClass().getName() : name) + " of " + tracker;
  }
}
