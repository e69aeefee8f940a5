package dev.smudge.sync;

/**
 * Receives runs of adjacent pages, slot by slot, pages ascending.
 *
 * @param <S> what the client calls a slot: {@link LogSlot}, or {@code GuestSlot}
 * @param <E> what the consumer may throw; it comes out of the walk
 */
@FunctionalInterface
public interface RunConsumer<S, E extends Exception> {
  /**
   * Called once per run.
   *
   * @param slot slot, as of the take; it may have been removed since
   * @param firstPage index of the run's first page in the slot
   * @param pageCount pages in the run, at least 1
   * @throws E if the run cannot be dealt with
   */
  void accept(S slot, long firstPage, long pageCount) throws E;
}
