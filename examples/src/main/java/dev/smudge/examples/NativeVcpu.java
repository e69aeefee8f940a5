package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.core.VcpuAtomics;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/**
 * One vCPU of a native guest: its registers, and the loop that it runs.
 *
 * <p>It stores as an emulator with a software TLB does: the first store to a page goes to RAM, is
 * marked, and puts the page into the write TLB; while the page is there, stores go to RAM alone,
 * without a look at the dirty bit. That is right because the arm callback empties the TLB before a
 * barrier is acknowledged, and it is what a migration without the barrier breaks. Without a TLB
 * each store is one of {@link Vcpu}'s. Where no store needs a mark, all go to RAM, and nobody is
 * told.
 */
final class NativeVcpu implements GuestVcpu {
  static final int STATE_SIZE = 2 * Long.BYTES + WriteSequence.STATE_SIZE;

  private static final ValueLayout.OfLong WORD =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle COUNTER = ValueLayout.JAVA_LONG.varHandle();
  private static final long EMPTY = -1;

  /** A vCPU that is so far ahead of its rate waits. */
  private static final long AHEAD_NANOS = 200_000;

  private final NativeProgram program;
  private final int index;
  private final Vcpu vcpu;
  private final VcpuAtomics atomics;
  private final MemorySegment ram;
  private final GuestOutput output;
  private final long[] tlb;
  private final boolean needsMarks;

  // The registers: all that is not in RAM.
  private final WriteSequence sequence;
  private long call;
  private long digest;

  // The pace of this run, not part of the state.
  private long began;
  private long written;

  NativeVcpu(NativeProgram program, int index, Machine machine, GuestOutput output) {
    GuestMemory memory = machine.memory();
    this.needsMarks = machine.needsMarks();
    this.program = program;
    this.index = index;
    this.output = output;
    this.ram = memory.slot(NativeProgram.SLOT).ram();
    this.tlb = new long[program.tlb()];
    this.sequence = new WriteSequence(program, index);
    this.vcpu = memory.addVcpu(this::dropTlb);
    this.atomics = vcpu.atomics();
    dropTlb();
  }

  private void dropTlb() {
    Arrays.fill(tlb, EMPTY);
  }

  void load(ByteBuffer state) {
    call = state.getLong();
    sequence.load(state);
    digest = state.getLong();
    if (call < 0 || call > program.calls()) {
      throw new IllegalArgumentException("vCPU " + index + " is in call " + call);
    }
  }

  @Override
  public byte[] state() {
    ByteBuffer state = ByteBuffer.allocate(STATE_SIZE);
    state.putLong(call);
    sequence.store(state);
    return state.putLong(digest).array();
  }

  @Override
  public boolean ended() {
    return call == program.calls();
  }

  /** It looks after each call. */
  @Override
  public void kick() {}

  @Override
  public void limitDirtyRate(long bytesPerSecond) {
    vcpu.limitDirtyRate(bytesPerSecond);
  }

  @Override
  public void close() {
    vcpu.close();
  }

  @Override
  public void run(BooleanSupplier stop) {
    began = System.nanoTime();
    written = 0;
    vcpu.online();
    try {
      while (!ended() && !stop.getAsBoolean()) {
        oneCall();
      }
    } finally {
      vcpu.offline();
    }
  }

  private void oneCall() {
    int untilSafepoint = program.safepointWrites();
    for (int i = 0; i < program.callWrites(); i++) {
      oneWrite();
      untilSafepoint--;
      if (untilSafepoint == 0) {
        untilSafepoint = program.safepointWrites();
        vcpu.safepoint();
        keepPace();
      }
      if (program.busy()) {
        beBusy();
      }
    }
    call++;
    if (needsMarks) {
      vcpu.putLong(NativeProgram.BASE + (long) Long.BYTES * index, digest);
      atomics.getAndAdd(NativeProgram.COUNTER, Long.BYTES, 1);
    } else { // by the C library's copy, and by an instruction of its own
      MemorySegment last = MemorySegment.ofArray(new long[] {digest});
      MemorySegment.copy(last, 0, ram, (long) Long.BYTES * index, Long.BYTES);
      long ignored = (long) COUNTER.getAndAdd(ram, NativeProgram.COUNTER - NativeProgram.BASE, 1L);
    }
    vcpu.offline(); // around a host call, as any that may block
    output.line(
        index, String.format(Locale.ROOT, "vCPU %d, call %d: read %016x", index, call, digest));
    vcpu.online();
  }

  private void oneWrite() {
    long offset = sequence.next();
    long old = ram.get(WORD, offset);
    digest = Long.rotateLeft(digest, 7) * 31 + old;
    put(offset, sequence.bits() ^ old);
    written++;
  }

  private void put(long offset, long value) {
    if (!needsMarks) {
      ram.set(WORD, offset, value);
      return;
    }
    if (tlb.length == 0) {
      vcpu.putLong(NativeProgram.BASE + offset, value);
      return;
    }
    ram.set(WORD, offset, value);
    long page = offset / NativeProgram.PAGE;
    int entry = (int) page & (tlb.length - 1);
    if (tlb[entry] != page) {
      vcpu.mark(NativeProgram.BASE + offset, Long.BYTES);
      tlb[entry] = page;
    }
  }

  /** How long the vCPU is ahead of its rate. */
  private long aheadNanos() {
    long rate = program.rate();
    return rate == 0 ? 0 : began + (long) (written * 1e9 / rate) - System.nanoTime();
  }

  /** Between two writes: the guest computes something. */
  private void beBusy() {
    while (aheadNanos() > 0) {
      Thread.onSpinWait();
    }
  }

  /** Waits, offline, if the vCPU is ahead of its rate. */
  private void keepPace() {
    long ahead = aheadNanos();
    if (ahead > AHEAD_NANOS) {
      vcpu.offline();
      LockSupport.parkNanos(ahead);
      vcpu.online();
    }
  }
}
