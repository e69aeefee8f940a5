package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyLogBuilder;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * x86-64 code on the kernel's KVM: {@link PageWriter}, which reads and overwrites words of RAM in
 * rounds, and folds what it has read into a digest, in a register. The host tells it where, as a
 * device does, and prints the digest after each round. So a lost page shows in what is printed as
 * soon as it is read again, and so do lost registers.
 *
 * @param load where it writes, and how often; what concerns software (TLB, safepoints) is not used
 */
record KvmProgram(NativeProgram load) implements Program {
  static final String KIND = "kvm";
  static final int PROGRAM_SLOT = 1;

  /** The program's page tables map 4 GiB, of which RAM is the upper half. */
  static final long MAX_RAM = (4L << 30) - NativeProgram.BASE;

  KvmProgram {
    if (load.vcpus() > PageWriter.MAX_VCPUS
        || load.ram() > MAX_RAM
        || load.callWrites() > PageWriter.MAX_ENTRIES) {
      throw new IllegalArgumentException(
          String.format(
              Locale.ROOT,
              "a KVM guest has at most %d vCPUs, %d bytes of RAM and %d writes a call, not %d, %d"
                  + " and %d",
              PageWriter.MAX_VCPUS,
              MAX_RAM,
              PageWriter.MAX_ENTRIES,
              load.vcpus(),
              load.ram(),
              load.callWrites()));
    }
  }

  /**
   * Reads {@link #config}.
   *
   * @throws IllegalArgumentException if it is not what {@code config} writes
   */
  static KvmProgram parse(byte[] config) {
    return new KvmProgram(NativeProgram.parse(config));
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public byte[] config() {
    return load.config();
  }

  @Override
  public Machine machine(DirtyLogBuilder log, int ring) {
    return KvmMachine.create(log, ring);
  }

  @Override
  public void addSlots(GuestMemory memory) {
    load.addSlots(memory);
    memory.addSlot(PROGRAM_SLOT, 0, PageWriter.SIZE, NativeProgram.PAGE);
  }

  @Override
  public Guest boot(Machine machine, GuestOutput output) {
    GuestMemory memory = machine.memory();
    PageWriter writer = new PageWriter(memory.slot(PROGRAM_SLOT).ram());
    memory.device().mark(0, PageWriter.SIZE); // it was written around the memory
    return guest(vcpus(machine, writer, output), output);
  }

  @Override
  public Guest restore(Machine machine, byte[] state, GuestOutput output) {
    List<ByteBuffer> states = VcpuGuest.states(state, load.vcpus(), KvmGuestVcpu.STATE_SIZE);
    PageWriter writer = PageWriter.in(machine.memory().slot(PROGRAM_SLOT).ram());
    List<KvmGuestVcpu> vcpus = vcpus(machine, writer, output);
    for (int index = 0; index < load.vcpus(); index++) {
      vcpus.get(index).load(states.get(index));
    }
    return guest(vcpus, output);
  }

  private List<KvmGuestVcpu> vcpus(Machine machine, PageWriter writer, GuestOutput output) {
    if (!(machine instanceof KvmMachine kvm)) {
      throw new IllegalArgumentException("a KVM guest needs a VM of the kernel's");
    }
    List<KvmGuestVcpu> vcpus = new ArrayList<>();
    for (int index = 0; index < load.vcpus(); index++) {
      vcpus.add(new KvmGuestVcpu(load, index, kvm, writer.ofVcpu(index), output));
    }
    return vcpus;
  }

  private static Guest guest(List<KvmGuestVcpu> vcpus, GuestOutput output) {
    return new VcpuGuest(
        List.copyOf(vcpus),
        output,
        () -> vcpus.stream().mapToLong(KvmGuestVcpu::roundsInRam).sum());
  }

  @Override
  public Program unpaced() {
    return new KvmProgram((NativeProgram) load.unpaced());
  }

  @Override
  public void footprint(GuestMemory memory, RangeConsumer sink) {
    load.footprint(memory, sink);
    sink.accept(0, PageWriter.SIZE);
  }
}
