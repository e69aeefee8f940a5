package dev.smudge.sync;

import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.HostWriter;
import dev.smudge.sync.internal.counter.LogCounters;
import dev.smudge.sync.internal.counter.RingCounters;
import dev.smudge.sync.internal.software.SoftwareTracker;
import dev.smudge.sync.internal.vcpu.VcpuState;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The counters of a log at one moment ({@link DirtyLog#counters}). Two of them give a rate: pages
 * per second over the time between them. Immutable.
 *
 * <p>A page counts when it goes from clean to dirty. It counts again after it was armed again, by a
 * client that takes it, or with rings by any sync. Without a client nothing is armed, and nothing
 * counts.
 *
 * @param nanoTime when, as {@link System#nanoTime}
 * @param dirtyPages pages that vCPUs made dirty, those that are closed by now included. Over a
 *     tracker with vCPUs of its own (KVM): pages that were fetched, and entries of rings, where a
 *     page may come twice; of no vCPU
 * @param devicePages pages that writers without a vCPU made dirty
 * @param vcpuPages pages that each vCPU made dirty that was not closed, by its index
 * @param ringEntries entries that were harvested
 * @param ringResets resets that gave entries back
 * @param ringFullWaits how often a vCPU waited for a reset
 * @param ringSpills pages that had no room in the ring and went to the bitmap
 */
public record DirtyCounters(
    long nanoTime,
    long dirtyPages,
    long devicePages,
    Map<Integer, Long> vcpuPages,
    long ringEntries,
    long ringResets,
    long ringFullWaits,
    long ringSpills) {
  /** Copies the map. */
  public DirtyCounters {
    vcpuPages = Map.copyOf(vcpuPages);
  }

  /** The counters of now; under the collector lock. */
  static DirtyCounters of(
      Collector collector, @Nullable SoftwareTracker software, HostWriter hostWriter) {
    LogCounters others = collector.counters();
    RingCounters rings = software == null ? RingCounters.NONE : software.ringCounters();
    long pages = others.dirtyPages();
    long fullWaits = others.fullWaits();
    Map<Integer, Long> vcpuPages = new HashMap<>();
    for (VcpuState vcpu : collector.vcpus().vcpus()) {
      long dirty = vcpu.pressure().counters().dirtyPages();
      pages += dirty;
      fullWaits += vcpu.pressure().counters().fullWaits();
      vcpuPages.put(vcpu.index(), dirty);
    }
    return new DirtyCounters(
        System.nanoTime(),
        pages,
        hostWriter.dirtyPages(),
        vcpuPages,
        others.ringEntries() + rings.entries(),
        others.ringResets() + rings.resets(),
        fullWaits,
        rings.spills());
  }

  /**
   * Returns how many pages a second the whole guest made dirty, devices included. vCPUs that came
   * or went meanwhile count with what they did.
   *
   * @param earlier counters of the same log, taken before these
   * @return pages a second, 0 if no time has passed
   * @throws IllegalArgumentException if {@code earlier} was taken later
   */
  public double pagesPerSecondSince(DirtyCounters earlier) {
    return perSecond(earlier, dirtyPages + devicePages - earlier.dirtyPages - earlier.devicePages);
  }

  /**
   * Returns how many pages a second a vCPU made dirty. One that was added meanwhile counts from
   * then on, over the whole time.
   *
   * @param earlier counters of the same log, taken before these
   * @param vcpuIndex {@link LogVcpu#index}
   * @return pages a second, 0 if no time has passed
   * @throws IllegalArgumentException if {@code earlier} was taken later, or there was no such vCPU
   *     when these were taken: it was closed, or not added yet
   */
  public double pagesPerSecondSince(DirtyCounters earlier, int vcpuIndex) {
    Long pages = vcpuPages.get(vcpuIndex);
    if (pages == null) {
      throw new IllegalArgumentException(
          "there was no vCPU " + vcpuIndex + "; vCPUs: " + new TreeSet<>(vcpuPages.keySet()));
    }
    @Nullable Long before = earlier.vcpuPages.get(vcpuIndex);
    return perSecond(earlier, pages - Objects.requireNonNullElse(before, 0L));
  }

  private double perSecond(DirtyCounters earlier, long pages) {
    long nanos = nanoTime - earlier.nanoTime;
    if (nanos < 0) {
      throw new IllegalArgumentException(
          "the other counters were taken " + -nanos + " ns after these, not before");
    }
    return nanos == 0 ? 0 : pages * 1e9 / nanos;
  }
}
