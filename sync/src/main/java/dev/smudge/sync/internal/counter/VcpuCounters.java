package dev.smudge.sync.internal.counter;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/** What one vCPU counts. Written by its thread, read by any. */
public final class VcpuCounters {
  private static final VarHandle COUNTS = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int DIRTY_PAGES = 16; // alone on their lines
  private static final int FULL_WAITS = 17;

  private final long[] counts = new long[34];

  /** Makes some that are 0. */
  public VcpuCounters() {}

  /** Adds pages that the vCPU made dirty. By its thread. */
  public void addDirtyPages(long pages) {
    add(DIRTY_PAGES, pages);
  }

  /** Adds a wait for a reset of its ring. By its thread. */
  public void addFullWait() {
    add(FULL_WAITS, 1);
  }

  private void add(int counter, long more) {
    // ORDER S13 opaque: a count. Pairs with the opaque load in get. If weaker: torn.
    COUNTS.setOpaque(counts, counter, counts[counter] + more);
  }

  /** {@return pages that the vCPU made dirty} */
  public long dirtyPages() {
    return get(DIRTY_PAGES);
  }

  /** {@return how often it waited for a reset of its ring} */
  public long fullWaits() {
    return get(FULL_WAITS);
  }

  private long get(int counter) {
    // S13.
    return (long) COUNTS.getOpaque(counts, counter);
  }
}
