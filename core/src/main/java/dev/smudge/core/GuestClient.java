package dev.smudge.core;

import dev.smudge.sync.DirtyClient;

/**
 * One consumer of dirty pages, with its own view: {@link DirtyClient}, with the pages' content.
 *
 * <p>Threads: any, one batch at a time.
 */
public final class GuestClient implements AutoCloseable {
  private final GuestMemory memory;
  private final DirtyClient client;

  GuestClient(GuestMemory memory, DirtyClient client) {
    this.memory = memory;
    this.client = client;
  }

  /** {@return the client's name} */
  public String name() {
    return client.name();
  }

  /**
   * Takes all dirty pages; see {@link DirtyClient#take}.
   *
   * @return the batch; close it. What it holds and was not acknowledged is dirty again on close
   * @throws IllegalStateException if the client is closed, or its last batch is open still; nothing
   *     is taken
   * @throws dev.smudge.sync.VcpuTimeoutException if a vCPU does not reach a safepoint in time; the
   *     pages are dirty still
   */
  public GuestBatch take() {
    return new GuestBatch(client.take());
  }

  /**
   * Takes what earlier syncs found, without another fetch; see {@link DirtyClient#takeSynced}.
   *
   * @return the batch
   */
  public GuestBatch takeSynced() {
    return new GuestBatch(client.takeSynced());
  }

  /**
   * Takes at most so many dirty pages; see {@link DirtyClient#takeAtMost}.
   *
   * @param maxPages most pages to take, at least 1
   * @return the batch
   * @throws IllegalArgumentException if {@code maxPages} is less than 1; nothing is taken
   */
  public GuestBatch takeAtMost(long maxPages) {
    return new GuestBatch(client.takeAtMost(maxPages));
  }

  /**
   * Takes the dirty pages of a range; see {@link DirtyClient#takeRange}.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @return the batch
   * @throws IllegalArgumentException if the slot is not of this memory; nothing is taken
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is taken
   */
  public GuestBatch takeRange(GuestSlot slot, long firstPage, long pageCount) {
    return new GuestBatch(client.takeRange(memory.current(slot), firstPage, pageCount));
  }

  /**
   * Forgets pages whose content no longer matters; see {@link DirtyClient#discard}.
   *
   * @param slot slot
   * @param firstPage first page of the range
   * @param pageCount pages of the range, 0 or more
   * @throws IllegalArgumentException if the slot is not of this memory; nothing is changed
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is changed
   */
  public void discard(GuestSlot slot, long firstPage, long pageCount) {
    client.discard(memory.current(slot), firstPage, pageCount);
  }

  /** {@return how many pages are dirty for this client, as far as the last sync knew} */
  public long dirtyPages() {
    return client.dirtyPages();
  }

  /** Ends the client; see {@link DirtyClient#close}. */
  @Override
  public void close() {
    client.close();
  }
}
