package dev.smudge.benchmarks;

import org.openjdk.jmh.annotations.CompilerControl;

/**
 * Pages on their way from one thread to one other: a ring, or what could stand in its place. Each
 * adds up what it hands out, slot and page.
 */
abstract class PageQueue {
  long sum; // the collector's

  /** Puts a page in; false if it is full. */
  abstract boolean offer(int slotId, long page);

  /** Hands out what is there, at most what the queue holds; returns how many entries that were. */
  abstract int drain();

  /**
   * Puts in pages 0, step, 2 step and so on, modulo a power of two, beginning with the one of
   * number {@code from}.
   */
  @CompilerControl(CompilerControl.Mode.DONT_INLINE)
  static void produce(PageQueue queue, int from, int count, int step, int mask) {
    for (int i = from; i < from + count; i++) {
      while (!queue.offer(1, i * step & mask)) {
        Thread.onSpinWait();
      }
    }
  }

  /** As {@link #drain}. */
  @CompilerControl(CompilerControl.Mode.DONT_INLINE)
  static int collect(PageQueue queue) {
    return queue.drain();
  }
}
