package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.Reset;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** A reset of a guest of MiB of RAM that has written D pages at random, beside a copy of all. */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 300)
@Measurement(iterations = 150)
@Fork(
    value = 1,
    jvmArgsAppend = {"-Xmx2g", "--enable-native-access=ALL-UNNAMED"})
@State(Scope.Thread)
public class ResetBenchmark {
  /** RAM. */
  @Param("64")
  public int mib;

  /** Pages written between two resets. */
  @Param({"10", "100", "1000"})
  public int dirty;

  private final SplittableRandom random = new SplittableRandom(1);
  private final byte[] noise = new byte[4096];
  private GuestMemory memory;
  private GuestSlot slot;
  private Reset<GuestSlot> reset;
  private MemorySegment copy;

  /** Makes the guest and its base. */
  @Setup
  public void open() {
    memory = GuestMemory.create();
    slot = memory.addSlot(0, 0, (long) mib << 20);
    for (long page = 0; page < slot.pageCount(); page++) {
      random.nextBytes(noise);
      memory.device().write(page << 12, MemorySegment.ofArray(noise));
    }
    copy = MemorySegment.ofArray(new byte[mib << 20]).copyFrom(slot.ram());
    reset =
        Reset.toNow(
            memory.client("reset", InitialView.ALL_DIRTY), memory.pages(), MachineState.NONE);
  }

  /** Closes it. */
  @TearDown
  public void close() {
    memory.close();
  }

  /** The guest runs. */
  @Setup(Level.Invocation)
  public void run() {
    for (int i = 0; i < dirty; i++) {
      memory.device().putLong(random.nextLong(slot.pageCount()) << 12, i);
    }
  }

  /**
   * Resets it.
   *
   * @return pages
   */
  @Benchmark
  public long reset() {
    return reset.reset();
  }

  /**
   * Copies all RAM back.
   *
   * @return RAM
   */
  @Benchmark
  public MemorySegment copyAll() {
    return slot.ram().copyFrom(copy);
  }
}
