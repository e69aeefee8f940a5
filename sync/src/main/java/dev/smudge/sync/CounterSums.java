package dev.smudge.sync;

import java.util.Map;

/** What several vCPUs have counted. Under the collector lock. */
final class CounterSums {
  private long pages;
  private long entries;
  private long resets;
  private long fullWaits;
  private long spills;

  /** Adds what a vCPU has counted; returns its pages. */
  long add(LogVcpu vcpu) {
    long dirty = vcpu.dirtyPages();
    pages += dirty;
    fullWaits += vcpu.ringFullWaits();
    VcpuRing ring = vcpu.ring();
    if (ring != null) {
      entries += ring.entries();
      resets += ring.resets();
      spills += ring.spills();
    }
    return dirty;
  }

  void add(CounterSums other) {
    pages += other.pages;
    entries += other.entries;
    resets += other.resets;
    fullWaits += other.fullWaits;
    spills += other.spills;
  }

  /** Adds what was fetched from a backend whose vCPUs are not the log's. */
  void addFetched(int news) {
    pages += news;
  }

  /** Adds what was reaped from its rings: a page an entry. */
  void addReaped(int found) {
    pages += found;
    entries += found;
    resets += found == 0 ? 0 : 1;
  }

  DirtyCounters toCounters(long devicePages, Map<Integer, Long> vcpuPages) {
    return new DirtyCounters(
        System.nanoTime(), pages, devicePages, vcpuPages, entries, resets, fullWaits, spills);
  }
}
