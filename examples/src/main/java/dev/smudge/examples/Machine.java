package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyLogBuilder;

/** What a guest runs on: its memory, and with a {@link KvmMachine} the kernel's VM. */
class Machine implements AutoCloseable {
  private final GuestMemory memory;
  private final boolean needsMarks;

  /** A machine of one memory, which is closed with it. */
  Machine(GuestMemory memory) {
    this(memory, true);
  }

  private Machine(GuestMemory memory, boolean needsMarks) {
    this.memory = memory;
    this.needsMarks = needsMarks;
  }

  /**
   * Makes a machine of software.
   *
   * @param log options of its dirty log
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   */
  static Machine software(DirtyLogBuilder log, int ring) {
    return new Machine(GuestMemory.over((ring == 0 ? log : log.ring(ring)).build()));
  }

  /**
   * Makes a machine whose writes the MMU finds.
   *
   * @param log options of its dirty log
   * @throws UnsupportedOperationException if this computer cannot, with the reason
   */
  static Machine mmu(DirtyLogBuilder log) {
    return new Machine(GuestMemory.over(MmuTracker.log(log)), false);
  }

  /** {@return whether a store to RAM is found only if it is marked} */
  final boolean needsMarks() {
    return needsMarks;
  }

  /** {@return its memory} */
  final GuestMemory memory() {
    return memory;
  }

  /** {@return how often vCPUs waited because their rings were full} */
  long ringFullWaits() {
    return memory.log().counters().ringFullWaits();
  }

  /** Gives everything back. No guest runs any more. */
  @Override
  public void close() {
    memory.close();
  }
}
