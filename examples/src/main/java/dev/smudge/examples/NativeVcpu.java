package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.core.VcpuAtomics;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;

/**
 * One vCPU of a native guest: its registers, and the loop that it runs.
 *
 * <p>It stores as an emulator with a software TLB does: the first store to a page goes to RAM, is
 * marked, and puts the page into the write TLB; while the page is there, stores go to RAM alone,
 * without a look at the dirty bit. That is right because the arm callback empties the TLB before a
 * barrier is acknowledged, and it is what a migration without the barrier breaks. Without a TLB
 * each store is one of {@link Vcpu}'s.
 */
final class NativeVcpu {
  static final int STATE_SIZE = 4 * Long.BYTES;

  private static final ValueLayout.OfLong WORD =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int WORDS_PER_PAGE = NativeProgram.PAGE / Long.BYTES;
  private static final int SEQUENTIAL_STEP = 8; // words: 64 writes a page
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
  private final long usedPages;

  // The registers: all that is not in RAM.
  private long call;
  private long random;
  private long cursor;
  private long digest;

  // The pace of this run, not part of the state.
  private long began;
  private long written;

  NativeVcpu(NativeProgram program, int index, GuestMemory memory, GuestOutput output) {
    this.program = program;
    this.index = index;
    this.output = output;
    this.ram = memory.slot(NativeProgram.SLOT).ram();
    this.tlb = new long[program.tlb()];
    this.usedPages = program.usedPages();
    this.random = NativeProgram.mix(program.seed() + index);
    this.vcpu = memory.addVcpu(this::dropTlb);
    this.atomics = vcpu.atomics(ByteOrder.LITTLE_ENDIAN);
    dropTlb();
  }

  private void dropTlb() {
    Arrays.fill(tlb, EMPTY);
  }

  void load(ByteBuffer state) {
    call = state.getLong();
    random = state.getLong();
    cursor = state.getLong();
    digest = state.getLong();
    if (call < 0 || call > program.calls()) {
      throw new IllegalArgumentException("vCPU " + index + " is in call " + call);
    }
  }

  void store(ByteBuffer state) {
    state.putLong(call).putLong(random).putLong(cursor).putLong(digest);
  }

  boolean ended() {
    return call == program.calls();
  }

  void close() {
    vcpu.close();
  }

  /** Runs calls until the last, or until asked to stop. In the vCPU's thread. */
  void run(StopFlag flag) {
    began = System.nanoTime();
    written = 0;
    vcpu.online();
    try {
      while (!ended() && !flag.isSet()) {
        oneCall();
      }
    } finally {
      vcpu.offline();
    }
  }

  /** Asks a vCPU to stop at its next call boundary. */
  @FunctionalInterface
  interface StopFlag {
    boolean isSet();
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
    vcpu.putLong(NativeProgram.BASE + (long) Long.BYTES * index, digest);
    atomics.getAndAdd(NativeProgram.COUNTER, Long.BYTES, 1);
    vcpu.offline(); // around a host call, as any that may block
    output.line(
        index, String.format(Locale.ROOT, "vCPU %d, call %d: read %016x", index, call, digest));
    vcpu.online();
  }

  private void oneWrite() {
    random = random * 6_364_136_223_846_793_005L + 1_442_695_040_888_963_407L;
    long bits = NativeProgram.mix(random);
    long n;
    long word;
    if (program.pattern() == Pattern.SEQUENTIAL) {
      long step = cursor++;
      int steps = WORDS_PER_PAGE / SEQUENTIAL_STEP;
      n = step / steps % usedPages;
      word = step % steps * SEQUENTIAL_STEP + (bits & (SEQUENTIAL_STEP - 1));
    } else {
      boolean hot = program.pattern() == Pattern.HOT && (bits >>> 60) != 0;
      n = Math.floorMod(bits >>> 12, hot ? Math.max(1, usedPages / 64) : usedPages);
      word = bits & (WORDS_PER_PAGE - 1);
    }
    long offset = program.page(index, n) * NativeProgram.PAGE + word * Long.BYTES;
    long old = ram.get(WORD, offset);
    digest = Long.rotateLeft(digest, 7) * 31 + old;
    put(offset, bits ^ old);
    written++;
  }

  private void put(long offset, long value) {
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
