package dev.smudge.sync.internal.counter;

/** What a log has counted besides its open vCPUs and its own rings. Under the collector lock. */
public final class LogCounters {
  private long dirtyPages;
  private long fullWaits;
  private long ringEntries;
  private long ringResets;

  /** Adds what a vCPU has counted that is closed now. */
  public void addClosed(VcpuCounters vcpu) {
    dirtyPages += vcpu.dirtyPages();
    fullWaits += vcpu.fullWaits();
  }

  /** Adds pages that were fetched from a tracker whose writers count nothing. */
  public void addFetched(long pages) {
    dirtyPages += pages;
  }

  /** Adds entries that were reaped from the rings of such a tracker: one page each. */
  public void addReaped(int entries) {
    dirtyPages += entries;
    ringEntries += entries;
    ringResets += entries == 0 ? 0 : 1;
  }

  /** {@return pages that went from clean to dirty} */
  public long dirtyPages() {
    return dirtyPages;
  }

  /** {@return how often a vCPU waited for room in its ring} */
  public long fullWaits() {
    return fullWaits;
  }

  /** {@return entries that were reaped} */
  public long ringEntries() {
    return ringEntries;
  }

  /** {@return resets} */
  public long ringResets() {
    return ringResets;
  }
}
