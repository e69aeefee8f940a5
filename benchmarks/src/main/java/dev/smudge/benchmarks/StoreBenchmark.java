package dev.smudge.benchmarks;

import dev.smudge.core.DeviceMemory;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.core.WriteWindow;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A store to a page that is dirty already, tracked ({@code vcpu}), against the same store into the
 * same segment, untracked ({@code plain}).
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@State(Scope.Thread)
public class StoreBenchmark {
  private static final long BASE = 0x8000_0000L;
  private static final int LOOP = 4096;

  /** RAM, in MiB. */
  @Param({"4", "1024"})
  public int mib;

  private GuestMemory memory;
  private Vcpu vcpu;
  private WriteWindow window;
  private LogVcpu logVcpu;
  private DeviceMemory device;
  private MemorySegment ram;
  private LogSlot logSlot;
  private final byte[] bytes64 = new byte[64];
  private final byte[] bytes4096 = new byte[4096];
  private long mask;
  private long position;
  private long random = 88172645463325252L;

  /** Makes the memory; all its pages are dirty. */
  @Setup
  public void open() {
    memory = GuestMemory.create();
    long size = (long) mib << 20;
    GuestSlot slot = memory.addSlot(0, BASE, size);
    ram = slot.ram();
    ram.fill((byte) 1);
    vcpu = memory.addVcpu();
    vcpu.fill(BASE, size, (byte) 2);
    window = vcpu.window(BASE, size);
    vcpu.offline(); // a thread runs one vCPU at a time: the one that is used first
    logSlot = memory.log().slot(0);
    logVcpu = memory.log().addVcpu();
    device = memory.device();
    mask = size - 1;
  }

  /** Unmaps it. */
  @TearDown
  public void close() {
    vcpu.close();
    logVcpu.close();
    memory.close();
  }

  private long next() {
    position = (position + 8) & mask;
    return position;
  }

  private long nextRandom() {
    random ^= random << 13;
    random ^= random >>> 7;
    random ^= random << 17;
    return random & mask & -8L;
  }

  /** One 8-byte store a call, sequential, untracked. */
  @Benchmark
  public void sequentialPlain() {
    ram.set(ValueLayout.JAVA_LONG_UNALIGNED, next(), 42L);
  }

  /** One 8-byte store a call, sequential, tracked. */
  @Benchmark
  public void sequentialVcpu() {
    vcpu.putLong(BASE + next(), 42L);
  }

  /** 8-byte stores in an inlined loop, untracked. */
  @Benchmark
  @OperationsPerInvocation(LOOP)
  public void loopPlain() {
    long at = position;
    for (int i = 0; i < LOOP; i++) {
      ram.set(ValueLayout.JAVA_LONG_UNALIGNED, at, i);
      at = (at + 8) & mask;
    }
    position = at;
  }

  /** 8-byte stores in an inlined loop, tracked. */
  @Benchmark
  @OperationsPerInvocation(LOOP)
  public void loopVcpu() {
    long at = position;
    for (int i = 0; i < LOOP; i++) {
      vcpu.putLong(BASE + at, i);
      at = (at + 8) & mask;
    }
    position = at;
  }

  /** 8-byte stores in an inlined loop, by way of a window. */
  @Benchmark
  @OperationsPerInvocation(LOOP)
  public void loopWindow() {
    MemorySegment to = window.ram();
    long at = position;
    for (int i = 0; i < LOOP; i++) {
      to.set(ValueLayout.JAVA_LONG_UNALIGNED, at, i);
      at = (at + 8) & mask;
    }
    position = at;
    vcpu.safepoint();
  }

  /** One 8-byte store a call, sequential, by way of a window that is asked each time. */
  @Benchmark
  public void sequentialWindow() {
    window.ram().set(ValueLayout.JAVA_LONG_UNALIGNED, next(), 42L);
  }

  /** 8-byte stores at random, by way of a window that is asked each time. */
  @Benchmark
  public void randomWindow() {
    window.ram().set(ValueLayout.JAVA_LONG_UNALIGNED, nextRandom(), 42L);
  }

  /** 8-byte stores at random, untracked. */
  @Benchmark
  public void randomPlain() {
    ram.set(ValueLayout.JAVA_LONG_UNALIGNED, nextRandom(), 42L);
  }

  /** 8-byte stores at random, tracked. */
  @Benchmark
  public void randomVcpu() {
    vcpu.putLong(BASE + nextRandom(), 42L);
  }

  /** 64 bytes a call, untracked. */
  @Benchmark
  public void bulk64Plain() {
    position = (position + 64) & mask & -64L;
    MemorySegment.copy(bytes64, 0, ram, ValueLayout.JAVA_BYTE, position, 64);
  }

  /** 64 bytes a call, tracked. */
  @Benchmark
  public void bulk64Vcpu() {
    position = (position + 64) & mask & -64L;
    vcpu.write(BASE + position, bytes64, 0, 64);
  }

  /** 4096 bytes a call, untracked. */
  @Benchmark
  public void bulk4096Plain() {
    position = (position + 4096) & mask & -4096L;
    MemorySegment.copy(bytes4096, 0, ram, ValueLayout.JAVA_BYTE, position, 4096);
  }

  /** 4096 bytes a call, tracked. */
  @Benchmark
  public void bulk4096Vcpu() {
    position = (position + 4096) & mask & -4096L;
    vcpu.write(BASE + position, bytes4096, 0, 4096);
  }

  /** A mark without a store: an emulator that keeps its own RAM. */
  @Benchmark
  public void markOnly() {
    logVcpu.mark(logSlot, next(), 8);
  }

  /** A store by a thread without a vCPU. */
  @Benchmark
  public void deviceStore() {
    device.putLong(BASE + next(), 42L);
  }

  /** The store as the safepoint: a poll at the entry of each. */
  @Benchmark
  public void pollingVcpu() {
    vcpu.safepoint();
    vcpu.putLong(BASE + next(), 42L);
  }

  /** Eight-byte stores in an inlined loop with a safepoint each, against {@code loopVcpu}. */
  @Benchmark
  @OperationsPerInvocation(LOOP)
  public void loopPollingVcpu() {
    long at = position;
    for (int i = 0; i < LOOP; i++) {
      vcpu.safepoint();
      vcpu.putLong(BASE + at, i);
      at = (at + 8) & mask;
    }
    position = at;
  }
}
