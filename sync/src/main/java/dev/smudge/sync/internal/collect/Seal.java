package dev.smudge.sync.internal.collect;

import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.internal.vcpu.VcpuGroup;

/** Whether the guest was declared stopped for good; marks that come later are reported. */
public final class Seal {
  private final VcpuGroup vcpus;
  private volatile boolean sealed;

  /** Makes one that is open. */
  public Seal(VcpuGroup vcpus) {
    this.vcpus = vcpus;
  }

  /** {@return whether it is sealed} */
  public boolean isSealed() {
    return sealed;
  }

  /** Seals or unseals. */
  public void set(boolean now) {
    // ORDER L1 volatile: sealed before the last drain of host marks. Pairs with the read in report,
    // after the mark. If weaker: a late write is neither collected nor reported.
    sealed = now;
  }

  /** After a mark: reports it if the log is sealed. */
  public void report(Slot slot, long byteOffset) {
    // L1.
    if (sealed) {
      vcpus
          .errorHandler()
          .accept(
              new SealedException(
                  "a write to slot "
                      + slot.id()
                      + " at offset "
                      + byteOffset
                      + " by "
                      + Thread.currentThread()
                      + " came after seal()"));
    }
  }
}
