package dev.smudge.sync;

import java.util.concurrent.locks.ReentrantLock;
import org.agrona.concurrent.Agent;

/** Reaps the rings of a log when one of them is half full: {@link DirtyLog#reaper}. */
final class RingReaper implements Agent {
  private final ReentrantLock lock; // the collector lock
  private final VcpuGroup vcpus;
  private final LogRings rings;

  RingReaper(ReentrantLock lock, VcpuGroup vcpus, LogRings rings) {
    this.lock = lock;
    this.vcpus = vcpus;
    this.rings = rings;
  }

  @Override
  public int doWork() {
    if (!lock.tryLock()) {
      return 0; // somebody collects
    }
    try {
      return vcpus.isCollecting() && rings.isAnyHalfFull() ? rings.reap() : 0;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public String roleName() {
    return "dirty-ring-reaper";
  }
}
