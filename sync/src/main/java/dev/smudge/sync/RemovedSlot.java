package dev.smudge.sync;

import dev.smudge.sync.internal.collect.RemovedPages;
import dev.smudge.sync.internal.stack.StackRoom;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A slot that was removed, with those of its dirty pages that no other slot took over. No client is
 * told of these pages any more, so the remover gets them (docs/bugs.md row 18).
 *
 * <p>A page is dirty here if it was dirty for any client; without a client every page is. If a
 * client has pages of the slot in an open batch, they come here when that batch gives them back.
 * From any thread.
 *
 * @param <S> the remover's type of slots: {@link LogSlot}, or {@code GuestSlot}, whose RAM stays
 *     readable until this is closed
 */
public final class RemovedSlot<S> implements AutoCloseable {
  private final RemovedPages pages;
  private final S slot;
  private final AtomicReference<@Nullable Runnable> whenClosed;

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
   * Hands out the dirty pages as runs, ascending. No more follow, unless the removal threw after
   * the change was made, for example by a timeout: then more may follow until no vCPU can use the
   * slot.
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

  /** Releases the slot and its RAM. A second call does nothing. */
  @Override
  public void close() {
    StackRoom.check(StackRoom.RELEASE); // it is run once
    Runnable once = whenClosed.getAndSet(null);
    if (once != null) {
      once.run();
    }
  }

  @Override
  public String toString() {
    return "RemovedSlot[" + slot + "]";
  }
}
