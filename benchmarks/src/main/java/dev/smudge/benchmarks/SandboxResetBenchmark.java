package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.endive.SandboxImage;
import dev.smudge.endive.TrackedMemory;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyLog;
import io.roastedroot.quickjs4j.core.Engine;
import java.io.IOException;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
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
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ExportFunction;
import run.endive.runtime.Instance;
import run.endive.runtime.Machine;
import run.endive.runtime.Memory;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;

/**
 * A sandbox between two guests: brought back by its dirty pages, by a copy of all its memory, and
 * made anew. The guest is a script on QuickJS, or writes so many pages of 64 MiB.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 1500)
@Measurement(iterations = 300)
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class SandboxResetBenchmark {
  private static final String QUICKJS = "quickjs";

  private static final String SCRIPT =
      """
      globalThis.words = new Map();
      let x = 12345;
      for (let i = 0; i < 30; i++) {
        x = (x * 1103515245 + 12345) % 2147483648;
        const word = 'w' + (x >>> 8) % 70;
        words.set(word, (words.get(word) ?? []).concat([i]));
      }
      """;

  private static final String WAT =
      """
      (module (memory 1024 1024)
        (func (export "touch") (param $pages i32) (local $i i32)
          (loop $l
            (i32.store (i32.mul (local.get $i) (i32.const 32768)) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $pages))))))
      """;

  /** How a guest gets its memory. */
  @FunctionalInterface
  interface MemoryFactory {
    Memory make(MemoryLimits limits);
  }

  /** The guest. */
  @State(Scope.Thread)
  public static class Sandbox {
    /**
     * The guest: a script, or how many pages it writes, each in a word of pages of its own or two.
     */
    @Param({QUICKJS, "10", "100", "1000"})
    public String dirty;

    private @Nullable WasmModule module;
    private @Nullable Function<Instance, Machine> machine;
    private @Nullable Engine engine;
    private @Nullable ExportFunction touch;

    /**
     * Compiles the module; that of QuickJS was compiled when it was built.
     *
     * @throws IOException if it cannot be read
     */
    @Setup
    public void compile() throws IOException {
      if (!dirty.equals(QUICKJS)) {
        WasmModule compiled = Wat.compile(WAT);
        module = compiled;
        machine = MachineFactoryCompiler.compile(compiled);
      }
    }

    final void makeGuest(MemoryFactory factory) {
      if (dirty.equals(QUICKJS)) {
        engine = Engine.builder().withMemoryFactory(factory::make).build();
      } else {
        touch =
            Instance.builder(Objects.requireNonNull(module))
                .withMachineFactory(Objects.requireNonNull(machine))
                .withMemoryFactory(factory::make)
                .build()
                .export("touch");
      }
    }

    final void runGuest() {
      Engine script = engine;
      if (script != null) {
        int code = script.compile(SCRIPT);
        script.exec(code);
        script.free(code);
      } else {
        Objects.requireNonNull(touch).apply(Long.parseLong(dirty));
      }
    }

    final void closeGuest() {
      if (engine != null) {
        engine.close();
      }
    }
  }

  /** What a guest leaves is undone by its tracked pages. */
  @State(Scope.Thread)
  public static class Tracked extends Sandbox {
    /** Who finds its writes. */
    @Param({"software", "mmu"})
    public String tracker;

    private GuestMemory memory;
    private SandboxImage image;
    private TrackedMemory linear;

    /** Makes the guest and the image. */
    @Setup
    public void open() {
      memory = GuestMemory.over(tracker.equals("mmu") ? MmuTracker.log() : DirtyLog.create());
      GuestSlot slot = memory.addSlot(0, 0, 256L << 20);
      Vcpu vcpu = memory.addVcpu();
      makeGuest(limits -> linear = TrackedMemory.over(slot, vcpu, limits));
      image = SandboxImage.of(memory, linear);
    }

    /** Has the guest run. */
    @Setup(Level.Invocation)
    public void run() {
      runGuest();
      linear.vcpu().offline();
    }

    /** Unmaps it. */
    @TearDown
    public void close() {
      closeGuest();
      image.close();
      memory.close();
    }
  }

  /** What a guest leaves is undone by copying all of its memory. */
  @State(Scope.Thread)
  public static class Whole extends Sandbox {
    private ByteArrayMemory memory;
    private byte[] base;

    /** Makes the guest and the copy. */
    @Setup
    public void open() {
      makeGuest(limits -> memory = new ByteArrayMemory(limits));
      base = memory.readBytes(0, memory.pages() << 16);
    }

    /** Has the guest run. */
    @Setup(Level.Invocation)
    public void run() {
      runGuest();
    }

    /** Ends it. */
    @TearDown
    public void close() {
      closeGuest();
    }
  }

  /**
   * By dirty pages.
   *
   * @param guest the guest
   * @return pages that were written
   */
  @Benchmark
  public long reset(Tracked guest) {
    return guest.image.restore();
  }

  /**
   * All of its memory, as large as it was at first.
   *
   * @param guest the guest
   */
  @Benchmark
  public void copyAll(Whole guest) {
    guest.memory.write(0, guest.base);
  }

  /**
   * Another one in its place; that it runs more slowly at first is not counted.
   *
   * @param sandbox the guest
   * @return the other
   */
  @Benchmark
  @Warmup(iterations = 60)
  @Measurement(iterations = 40)
  public Object fresh(Sandbox sandbox) {
    sandbox.makeGuest(ByteArrayMemory::new);
    sandbox.closeGuest();
    return sandbox;
  }
}
