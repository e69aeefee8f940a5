package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.sync.DirtyLogBuilder;

/** What a guest runs on: its memory, and with a {@link KvmMachine} the kernel's VM. */
class Machine implements AutoCloseable {
  private final GuestMemory memory;

  /** A machine of one memory, which is closed with it. */
  Machine(GuestMemory memory) {
    this.memory = memory;
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
