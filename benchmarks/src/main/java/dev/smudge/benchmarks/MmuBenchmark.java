package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
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

/** Stores, first stores and takes where the MMU finds the writes, beside software marks. */
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class MmuBenchmark {
  private static final int LOOP = 4096;

  /** A guest. */
  @State(Scope.Thread)
  public static class Guest {
    /** Who finds its writes. */
    @Param({"software", "mmu"})
    public String tracker;

    /** RAM, in MiB. */
    @Param("1024")
    public int mib;

    private GuestMemory memory;
    GuestSlot slot;
    MemorySegment ram;
    Vcpu vcpu;
    private DirtyClient<GuestSlot> client;
    long position;
    long mask;

    /** Makes it; all its pages have content. */
    @Setup
    public void open() {
      memory = GuestMemory.over(tracker.equals("mmu") ? MmuTracker.log() : DirtyLog.create());
      slot = memory.addSlot(0, 0, (long) mib << 20);
      ram = slot.ram();
      ram.fill((byte) 1);
      mask = ram.byteSize() - 1;
      vcpu = memory.addVcpu();
      client = memory.client("benchmark", InitialView.NONE_DIRTY);
      take(); // what is not protected yet
    }

    /** Unmaps it. */
    @TearDown
    public void close() {
      vcpu.close();
      memory.close();
    }

    final long pageCount() {
      return slot.pageCount();
    }

    final void offline() {
      vcpu.offline();
    }

    final void storeToAll() {
      for (long page = 0; page < slot.pageCount(); page++) {
        store(page);
      }
      offline();
    }

    final long take() {
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        long count = batch.pageCount();
        batch.commit();
        return count;
      }
    }

    final void store(long page) {
      vcpu.putLong(page << 12, page);
    }
  }

  /** A guest all of whose pages are dirty. */
  @State(Scope.Thread)
  public static class DirtyGuest extends Guest {
    /** Makes them dirty. */
    @Setup(Level.Iteration)
    public void write() {
      storeToAll();
    }
  }

  /** A guest of which some pages were written since the last take. */
  @State(Scope.Thread)
  public static class WrittenGuest extends Guest {
    /** How many: a count, or a share. */
    @Param({"0", "1000", "1%", "50%", "100%"})
    public String dirty;

    /** Writes them. */
    @Setup(Level.Invocation)
    public void write() {
      long pages = pageCount();
      if (dirty.endsWith("%")) {
        int percent = Integer.parseInt(dirty.substring(0, dirty.length() - 1));
        for (long page = 0; page < pages; page += 100 / percent) {
          store(page);
        }
      } else {
        new SplittableRandom(1).longs(Long.parseLong(dirty), 0, pages).forEach(this::store);
      }
      offline();
    }
  }

  /** 8-byte stores of a vCPU's in a loop, to pages that are dirty. */
  @Benchmark
  @BenchmarkMode(Mode.AverageTime)
  @OutputTimeUnit(TimeUnit.NANOSECONDS)
  @Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
  @Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
  @OperationsPerInvocation(LOOP)
  public void storeVcpu(DirtyGuest guest) {
    long at = guest.position;
    for (int i = 0; i < LOOP; i++) {
      guest.vcpu.putLong(at, i);
      at = (at + 8) & guest.mask;
    }
    guest.position = at;
  }

  /** The same stores to RAM, which nobody is told of. */
  @Benchmark
  @BenchmarkMode(Mode.AverageTime)
  @OutputTimeUnit(TimeUnit.NANOSECONDS)
  @Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
  @Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
  @OperationsPerInvocation(LOOP)
  public void storePlain(DirtyGuest guest) {
    long at = guest.position;
    for (int i = 0; i < LOOP; i++) {
      guest.ram.set(ValueLayout.JAVA_LONG_UNALIGNED, at, i);
      at = (at + 8) & guest.mask;
    }
    guest.position = at;
  }

  /** The first store to each page after a take, and the take: of all pages. */
  @Benchmark
  @BenchmarkMode(Mode.SingleShotTime)
  @Warmup(iterations = 20)
  @Measurement(iterations = 20)
  public long storeFirstToAllAndTake(Guest guest) {
    guest.storeToAll();
    return guest.take();
  }

  /** Takes and commits. */
  @Benchmark
  @BenchmarkMode(Mode.SingleShotTime)
  @Warmup(iterations = 100)
  @Measurement(iterations = 100)
  public long take(WrittenGuest guest) {
    return guest.take();
  }
}
