package dev.smudge.benchmarks;

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

/**
 * Fetch, and fetch and clear, of a guest of 256 Ki pages (1 GiB), D of them dirty, the same ones
 * for both backends: by a client over the kernel's (bitmaps, manual protect) and the software one,
 * and by the bare calls of the kernel. What the guest does between is not in the times. {@link
 * KvmLayer} compares client and bare calls more closely.
 *
 * <p>Needs {@code /dev/kvm}.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 10)
@Measurement(iterations = 20)
@Fork(
    value = 1,
    jvmArgsAppend = {"-Xmx2g", "--enable-native-access=ALL-UNNAMED"})
@State(Scope.Thread)
public class KvmBenchmark {
  /** Whose calls. */
  public enum By {
    /** A client over the software backend. */
    SOFTWARE,
    /** A client over the kernel's. */
    KVM,
    /** The kernel's, by nobody else. */
    IOCTL
  }

  /** How many pages are dirty. */
  @Param({"0", "1000", "26214", "131072", "262144"})
  public int dirty;

  /** By what they are collected. */
  @Param public By by;

  private DirtyMachine machine;

  /** Makes the guest. */
  @Setup
  public void open() {
    machine = by == By.SOFTWARE ? DirtyMachine.software(dirty) : DirtyMachine.kernel(dirty);
  }

  /** Ends it. */
  @TearDown
  public void close() {
    machine.close();
  }

  /** Has the guest make its pages dirty. */
  @Setup(Level.Invocation)
  public void write() {
    machine.write();
  }

  /** Fetches. */
  @Benchmark
  public void fetch() {
    if (by == By.IOCTL) {
      ((DirtyMachine.Kernel) machine).get();
    } else {
      machine.sync();
    }
  }

  /** Takes and commits. */
  @Benchmark
  public void fetchAndClear() {
    if (by == By.IOCTL) {
      ((DirtyMachine.Kernel) machine).getAndClear();
    } else {
      machine.takeDirty();
    }
  }
}
