package dev.smudge.sync;

import dev.smudge.ring.DirtyRing;
import org.jspecify.annotations.Nullable;

/** The rings of a log's vCPUs: how they are made, and how what they hold reaches the clients. */
final class LogRings {
  private final int entries;
  private final int reserve;
  private final RingFullPolicy fullPolicy;
  private final DirtyLogBackend backend;
  private final VcpuGroup vcpus;
  private final RingNews news;
  private final @Nullable CounterSums foreign;

  /** With {@code foreign}, rings that are not of the log's vCPUs: it gets what they hold. */
  LogRings(
      int entries,
      int reserve,
      RingFullPolicy fullPolicy,
      DirtyLogBackend backend,
      SlotTable slots,
      VcpuGroup vcpus,
      @Nullable CounterSums foreign) {
    this.entries = entries;
    this.reserve = reserve;
    this.fullPolicy = fullPolicy;
    this.backend = backend;
    this.vcpus = vcpus;
    this.news = new RingNews(slots);
    this.foreign = foreign;
  }

  VcpuRing newRing() {
    return new VcpuRing(DirtyRing.allocate(entries, reserve));
  }

  RingFullPolicy fullPolicy() {
    return fullPolicy;
  }

  /**
   * Reaps all rings into the views. Under the collector lock, and only where pages may be armed:
   * there is a client, or will be before the lock is given away.
   */
  int reap() {
    boolean armed = true; // if it is cut short, perhaps
    try {
      int found = backend.reapRings(news);
      armed = found > 0;
      if (foreign != null) {
        foreign.addReaped(found);
      }
      return found;
    } finally {
      if (armed) {
        vcpus.pagesArmed();
        vcpus.wake();
      }
      news.tell();
    }
  }

  boolean isAnyHalfFull() {
    return backend.isAnyRingHalfFull();
  }
}
