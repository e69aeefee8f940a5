package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.endive.TrackedMemory;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.io.IOException;
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
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ExportFunction;
import run.endive.runtime.Instance;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/**
 * WebAssembly compiled to bytecode, over Endive's own memory and over a tracked slot: time of one
 * access. The kernels work on 1 MiB; {@code sieve} is a program, with about as much else as
 * accesses. {@code mmu} needs {@code -jvmArgsAppend --enable-native-access=ALL-UNNAMED}; the other
 * tracked ones are faster with it.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(2)
@State(Scope.Thread)
public class EndiveMemoryBenchmark {
  private static final int BYTES = 1 << 20;
  private static final int INTS = BYTES / 4;

  private static final String WAT =
      """
      (module (memory 64 128 SHARED)
        (func (export "store") (local $i i32)
          (loop $l
            (i32.store (local.get $i) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "storeByte") (local $i i32)
          (loop $l
            (i32.store8 (local.get $i) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "load") (result i32) (local $i i32) (local $s i32)
          (loop $l
            (local.set $s (i32.add (local.get $s) (i32.load (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576))))
          (local.get $s))
        (func (export "mix") (local $i i32)
          (loop $l
            (i64.store offset=1048576 (local.get $i)
              (i64.add (i64.load (local.get $i)) (i64.load offset=2097152 (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "random") (local $i i32) (local $x i32)
          (local.set $x (i32.const 123456789))
          (loop $l
            (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
            (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
            (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
            (i32.store (i32.and (local.get $x) (i32.const 4194300)) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "rmw") (local $i i32)
          (loop $l
            (drop (i32.atomic.rmw.add (local.get $i) (i32.const 3)))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "bulk") (local $i i32)
          (loop $l
            (memory.fill (local.get $i) (i32.const 5) (i32.const 4096))
            (memory.copy (i32.add (local.get $i) (i32.const 1048576)) (local.get $i)
              (i32.const 4096))
            (local.set $i (i32.add (local.get $i) (i32.const 4096)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "sieve") (result i32)
            (local $p i32) (local $m i32) (local $count i32)
          (memory.fill (i32.const 0) (i32.const 0) (i32.const 1048576))
          (local.set $p (i32.const 2))
          (loop $l
            (if (i32.eqz (i32.load8_u (local.get $p)))
              (then
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (local.set $m (i32.shl (local.get $p) (i32.const 1)))
                (block $done
                  (loop $k
                    (br_if $done (i32.ge_u (local.get $m) (i32.const 1048576)))
                    (i32.store8 (local.get $m) (i32.const 1))
                    (local.set $m (i32.add (local.get $m) (local.get $p)))
                    (br $k)))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $p) (i32.const 1048576))))
          (local.get $count)))
      """;

  /**
   * Endive's memory, a tracked one that nobody collects, one whose pages are dirty for a client,
   * and one whose pages the MMU has found dirty for a client.
   */
  @Param({"endive", "off", "dirty", "mmu"})
  public String memory;

  private GuestMemory guest;
  private ExportFunction store;
  private ExportFunction storeByte;
  private ExportFunction load;
  private ExportFunction mix;
  private ExportFunction random;
  private ExportFunction rmw;
  private ExportFunction bulk;
  private ExportFunction sieve;

  /**
   * Compiles the kernels.
   *
   * @throws IOException if they cannot be read
   */
  @Setup
  public void open() throws IOException {
    boolean mmu = memory.equals("mmu");
    guest = GuestMemory.over(mmu ? MmuTracker.log() : DirtyLog.create());
    GuestSlot slot = guest.addSlot(0, 0, 128L * Memory.PAGE_SIZE);
    Vcpu vcpu = guest.addVcpu();
    Instance plain = instance("", slot, vcpu);
    store = plain.export("store");
    storeByte = plain.export("storeByte");
    load = plain.export("load");
    mix = plain.export("mix");
    random = plain.export("random");
    bulk = plain.export("bulk");
    sieve = plain.export("sieve");
    rmw = instance("shared", slot, vcpu).export("rmw");
    if (mmu || memory.equals("dirty")) {
      DirtyClient<GuestSlot> started = guest.client("benchmark", InitialView.ALL_DIRTY);
      try (DirtyBatch<GuestSlot> batch = started.take()) {
        batch.commit(); // all pages are armed; the warm-up dirties them
      }
    }
  }

  private Instance instance(String shared, GuestSlot slot, Vcpu vcpu) throws IOException {
    return Instance.builder(Wat.compile(WAT.replace("SHARED", shared)))
        .withMachineFactory(MachineFactoryCompiler::compile)
        .withMemoryFactory(limits -> memory(slot, vcpu, limits))
        .build();
  }

  private Memory memory(GuestSlot slot, Vcpu vcpu, MemoryLimits limits) {
    return memory.equals("endive")
        ? new ByteArrayMemory(limits)
        : TrackedMemory.over(slot, vcpu, limits);
  }

  /** Ends the guest. */
  @TearDown
  public void close() {
    guest.close();
  }

  /**
   * Stores of 4 bytes, one after the other.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(INTS)
  public long[] store() {
    return store.apply();
  }

  /**
   * Stores of 1 byte, one after the other.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(BYTES)
  public long[] storeByte() {
    return storeByte.apply();
  }

  /**
   * Loads of 4 bytes, one after the other.
   *
   * @return their sum
   */
  @Benchmark
  @OperationsPerInvocation(INTS)
  public long[] load() {
    return load.apply();
  }

  /**
   * Two loads and a store of 8 bytes.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(BYTES / 8)
  public long[] mix() {
    return mix.apply();
  }

  /**
   * Stores of 4 bytes at random in 4 MiB.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(INTS)
  public long[] random() {
    return random.apply();
  }

  /**
   * Atomic additions of 4 bytes in a shared memory, by one thread.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(INTS)
  public long[] rmw() {
    return rmw.apply();
  }

  /**
   * A fill and a copy of 4 KiB.
   *
   * @return nothing
   */
  @Benchmark
  @OperationsPerInvocation(BYTES / 4096)
  public long[] bulk() {
    return bulk.apply();
  }

  /**
   * The primes below 2^20.
   *
   * @return how many
   */
  @Benchmark
  @OperationsPerInvocation(BYTES)
  public long[] sieve() {
    return sieve.apply();
  }
}
