package dev.smudge.testbase;

import java.lang.management.ManagementFactory;

/** What a thread has used of processors: unlike its state, no other thread has a hand in that. */
public final class CpuTime {
  private CpuTime() {}

  /**
   * Returns how long a thread has run on a processor, in nanoseconds.
   *
   * @param thread a platform thread that is alive
   */
  public static long nanosOf(Thread thread) {
    long nanos = ManagementFactory.getThreadMXBean().getThreadCpuTime(thread.getId());
    if (nanos < 0) {
      throw new IllegalArgumentException("no CPU time of " + thread + ": has it ended?");
    }
    return nanos;
  }
}
