package dev.smudge.sync;

import dev.smudge.sync.internal.collect.RemovedPages;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A slot that was removed, and those of its dirty pages that no slot took over: no client is told
 * of them any more, so they are handed to whoever removed the slot (docs/bugs.md row 18).
 *
 * <p>Dirty is what was dirty for any of the clients; everything, if there was none. What a client
 * has in an open batch when the slot is removed comes when that batch gives it back. From any
 * thread.
 *
 * @param <S> what the remover calls a slot: {@link LogSlot}, or {@code GuestSlot}, whose RAM is
 *     kept, and can be read, until this is closed
 */
public final class RemovedSlot<S> implements AutoCloseable {
  private final RemovedPages pages;
  private final S slot;
  private final AtomicReference<Runnable> whenClosed;

  RemovedSlot(RemovedPages pages, S slot, Runnable whenClosed) {
    this.pages = pages;
    this.slot = slot;
    this.whenClosed = new AtomicReference<>(whenClosed);
  }

  /** {@return the slot that was removed} */
  public S slot() {
    return slot;
  }

  /** {@return how many pages are dirty} */
  public long dirtyPages() {
    return pages.copy().size();
  }

  /**
   * Hands out the dirty pages as runs, ascending. Those are the last ones, unless the removal threw
   * after it was made, as by a timeout: then there are more when no vCPU can use the slot any
   * longer.
   *
   * @param consumer gets the runs; what it throws comes through
   * @param <E> what it may throw
   * @throws E if the consumer throws it
   */
  @SuppressWarnings("unchecked") // what it throws is E, as is declared here
  public <E extends Exception> void forEachRun(RunConsumer<? super S, E> consumer) throws E {
    RunConsumer<? super S, RuntimeException> runs =
        (RunConsumer<? super S, RuntimeException>) consumer;
    pages.copy().forEachRun((first, count) -> runs.accept(slot, first, count));
  }

  /** Gives up what is kept for this. A second call does nothing. */
  @Override
  public void close() {
    whenClosed.getAndSet(() -> {}).run();
  }

  @Override
  public String toString() {
    return "RemovedSlot[" + slot + "]";
  }
}
