package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageWordConsumer;

/** Pages of one slot that writers without a vCPU have marked. */
public interface HostMarks {
  /**
   * Marks pages. From any thread.
   *
   * @return how many went from clean to dirty
   */
  long mark(long firstPage, long count);

  /** Takes out what was marked. Under the collector lock. */
  void drain(PageWordConsumer sink);
}
