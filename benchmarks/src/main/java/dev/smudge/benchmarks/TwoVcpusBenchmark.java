package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Threads;
import org.openjdk.jmh.annotations.Warmup;

/** Two vCPUs that store to neighbouring pages, whose bits share a word: dirty already. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(3)
@Threads(2)
@State(Scope.Benchmark)
public class TwoVcpusBenchmark {
  private GuestMemory memory;
  private MemorySegment ram;
  private int next;

  /** Makes the memory. */
  @Setup
  public void open() {
    memory = GuestMemory.create();
    ram = memory.addSlot(0, 0, 1 << 20).ram();
  }

  /** Unmaps it. */
  @TearDown
  public void close() {
    memory.close();
  }

  private synchronized int nextPage() {
    next = (next + 1) & 1;
    return next * 4096;
  }

  /** One thread's vCPU. */
  @State(Scope.Thread)
  public static class Writer {
    private Vcpu vcpu;
    private long page;
    private long at;

    /**
     * Adds the vCPU.
     *
     * @param shared the memory
     */
    @Setup
    public void open(TwoVcpusBenchmark shared) {
      vcpu = shared.memory.addVcpu();
      page = shared.nextPage();
    }

    /** Closes it, on its own thread. */
    @TearDown
    public void close() {
      vcpu.close();
    }

    private long next() {
      at = (at + 8) & 4088;
      return page + at;
    }
  }

  /**
   * Untracked.
   *
   * @param writer the thread's
   */
  @Benchmark
  public void plain(Writer writer) {
    ram.set(ValueLayout.JAVA_LONG_UNALIGNED, writer.next(), 42L);
  }

  /**
   * Tracked.
   *
   * @param writer the thread's
   */
  @Benchmark
  public void vcpu(Writer writer) {
    writer.vcpu.putLong(writer.next(), 42L);
  }
}
