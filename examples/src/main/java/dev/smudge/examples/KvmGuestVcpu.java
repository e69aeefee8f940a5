package dev.smudge.examples;

import dev.smudge.core.DeviceMemory;
import dev.smudge.kvm.KvmRunner;
import dev.smudge.kvm.KvmVcpu;
import dev.smudge.kvm.RunLayout;
import dev.smudge.kvm.X86Registers;
import dev.smudge.kvmguest.PageWriter;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/**
 * One vCPU of the kernel's, which runs a {@link PageWriter}: a round of it is a call. It can be
 * stopped anywhere, in the midst of a round too, since its registers tell where it was.
 */
final class KvmGuestVcpu implements GuestVcpu {
  static final int STATE_SIZE =
      2 * Long.BYTES + WriteSequence.STATE_SIZE + X86Registers.GENERAL_SIZE;

  private final NativeProgram program;
  private final int index;
  private final PageWriter writer;
  private final DeviceMemory device;
  private final GuestOutput output;
  private final KvmVcpu vcpu;
  private final KvmRunner runner;
  private final WriteSequence sequence;
  private final long[] addresses;
  private long call;
  private boolean ordered; // what the call under way is to write

  KvmGuestVcpu(
      NativeProgram program, int index, KvmMachine machine, PageWriter writer, GuestOutput output) {
    this.program = program;
    this.index = index;
    this.writer = writer;
    this.device = machine.memory().device();
    this.output = output;
    this.sequence = new WriteSequence(program, index);
    this.addresses = new long[program.callWrites()];
    this.runner = machine.addVcpu(index);
    this.vcpu = runner.vcpu();
    X86Registers.read(vcpu)
        .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, writer.orders())
        .write(vcpu);
  }

  /** All that a program can change: the rest of the registers is as at its start. */
  void load(ByteBuffer state) {
    call = state.getLong();
    if (call < 0 || call > program.calls()) {
      throw new IllegalArgumentException("vCPU " + index + " is in call " + call);
    }
    ordered = state.getLong() != 0;
    sequence.load(state);
    X86Registers registers = X86Registers.read(vcpu);
    registers.general().copyFrom(MemorySegment.ofBuffer(state));
    registers.write(vcpu);
  }

  @Override
  public byte[] state() {
    ByteBuffer state = ByteBuffer.allocate(STATE_SIZE);
    state.putLong(call).putLong(ordered ? 1 : 0);
    sequence.store(state);
    MemorySegment.ofBuffer(state).copyFrom(X86Registers.read(vcpu).general());
    return state.array();
  }

  @Override
  public boolean ended() {
    return call == program.calls();
  }

  /** {@return the rounds that the guest itself has counted} */
  long roundsInRam() {
    return writer.rounds();
  }

  @Override
  public void run(BooleanSupplier stop) {
    long began = System.nanoTime();
    long written = 0;
    while (!ended()) {
      if (!ordered) {
        order();
      }
      int reason = runner.run();
      if (reason == RunLayout.EXIT_IO && vcpu.ioPort() == PageWriter.DONE_PORT) {
        roundEnds();
        written += program.callWrites();
        keepPace(began, written, stop);
      } else if (reason != RunLayout.EXIT_INTR) {
        throw new IllegalStateException(
            "vCPU " + index + " stopped in call " + call + " with exit " + reason + " of KVM's");
      } else if (stop.getAsBoolean()) {
        return; // here alone: the kernel has ended the instruction of the last exit too
      }
    }
  }

  /** As a device does: writes around the memory, and marks. The guest waits for it, at its exit. */
  private void order() {
    for (int i = 0; i < addresses.length; i++) {
      addresses[i] = NativeProgram.BASE + sequence.next();
    }
    writer.list(addresses);
    writer.iteration(sequence.bits());
    device.mark(writer.orders(), NativeProgram.PAGE);
    device.mark(writer.listAddress(), (long) Long.BYTES * addresses.length);
    ordered = true;
  }

  private void roundEnds() {
    call++;
    ordered = false;
    output.line(
        index,
        String.format(Locale.ROOT, "vCPU %d, call %d: read %016x", index, call, writer.digest()));
  }

  private void keepPace(long began, long written, BooleanSupplier stop) {
    if (program.rate() == 0) {
      return;
    }
    long until = began + (long) (written * 1e9 / program.rate());
    for (long ahead = until - System.nanoTime();
        ahead > 0 && !stop.getAsBoolean();
        ahead = until - System.nanoTime()) {
      LockSupport.parkNanos(Math.min(ahead, 1_000_000));
    }
  }

  @Override
  public void kick() {
    runner.kick();
  }

  @Override
  public void close() {
    runner.close();
    vcpu.close();
  }
}
