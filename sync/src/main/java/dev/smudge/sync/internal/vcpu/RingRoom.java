package dev.smudge.sync.internal.vcpu;

/** The ring of a vCPU, as far as the vCPU waits for room in it. By the vCPU's thread. */
public interface RingRoom {
  /** {@return whether no more entries are free than the reserve} */
  boolean isSoftFull();
}
