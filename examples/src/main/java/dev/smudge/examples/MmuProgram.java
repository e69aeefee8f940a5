package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.sync.DirtyLogBuilder;

/**
 * A program whose writes the source finds by the MMU. The destination, which takes nothing, and the
 * run that is compared are software.
 */
record MmuProgram(Program program) implements Program {
  static final String BACKEND = "mmu";

  @Override
  public String kind() {
    return program.kind();
  }

  @Override
  public byte[] config() {
    return program.config();
  }

  @Override
  public Machine machine(DirtyLogBuilder log, int ring) {
    return Machine.mmu(log);
  }

  @Override
  public void addSlots(GuestMemory memory) {
    program.addSlots(memory);
  }

  @Override
  public Guest boot(Machine machine, GuestOutput output) {
    return program.boot(machine, output);
  }

  @Override
  public Guest restore(Machine machine, byte[] state, GuestOutput output) {
    return program.restore(machine, state, output);
  }

  @Override
  public Program unpaced() {
    return program.unpaced();
  }

  @Override
  public void footprint(GuestMemory memory, RangeConsumer sink) {
    program.footprint(memory, sink);
  }
}
