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
import io.roastedroot.quickjs4j.core.Engine;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ExportFunction;
import run.endive.runtime.Instance;
import run.endive.runtime.Memory;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;

/**
 * CPU time of WebAssembly guests over tracked memory, as a multiple of that over Endive's own:
 * {@code java --enable-native-access=ALL-UNNAMED -cp benchmarks.jar
 * dev.smudge.benchmarks.EndiveCpu}, with the names of guests to choose some. CPU time of the
 * guest's thread, the smallest of some periods; each memory in a JVM of its own, so that none
 * spoils the other's profile.
 */
public final class EndiveCpu {
  private static final List<String> GUESTS =
      List.of("quickjs", "compute", "store", "random", "sieve", "compress", "stream");

  /** Endive's own; tracked, with all pages dirty; and with a take each 10 ms. */
  private static final List<String> MEMORIES =
      List.of("endive", "software", "mmu", "software+takes", "mmu+takes");

  private static final long TAKE_MILLIS = 10;
  private static final long WARM_UP_NANOS = 2_000_000_000L;
  private static final long PERIOD_NANOS = 150_000_000L;
  private static final int PERIODS = 6;

  private static final String SCRIPT =
      """
      const words = new Map();
      let x = 12345;
      for (let i = 0; i < 3000; i++) {
        x = (x * 1103515245 + 12345) % 2147483648;
        const word = 'w' + (x >>> 8) % 700;
        words.set(word, (words.get(word) ?? []).concat([i]));
      }
      const top = [...words].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
      JSON.parse(JSON.stringify(top)).map(([word, places]) => places.reduce((a, b) => a + b, 0));
      """;

  private static final String WAT =
      """
      (module (memory 4096 4096)
        (func (export "store") (local $i i32)
          (loop $l
            (i32.store (local.get $i) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "random") (local $i i32) (local $x i32)
          (local.set $x (i32.const 123456789))
          (loop $l
            (local.set $x (call $next (local.get $x)))
            (i32.store (i32.and (local.get $x) (i32.const 4194300)) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func $next (param $x i32) (result i32)
          (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
          (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
          (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
        ;; sixteen rounds of a hash for each word of a table of 16 KiB
        (func (export "compute") (local $i i32) (local $k i32) (local $x i32)
          (local.set $x (i32.const 123456789))
          (loop $l
            (local.set $k (i32.const 16))
            (loop $r
              (local.set $x (call $next (local.get $x)))
              (local.set $k (i32.sub (local.get $k) (i32.const 1)))
              (br_if $r (local.get $k)))
            (i32.store (i32.and (local.get $x) (i32.const 16380))
              (i32.add (local.get $x) (i32.load (i32.and (local.get $i) (i32.const 16380)))))
            (local.set $i (i32.add (local.get $i) (i32.const 4)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048576)))))
        (func (export "sieve") (local $p i32) (local $m i32)
          (memory.fill (i32.const 0) (i32.const 0) (i32.const 1048576))
          (local.set $p (i32.const 2))
          (loop $l
            (if (i32.eqz (i32.load8_u (local.get $p)))
              (then
                (local.set $m (i32.shl (local.get $p) (i32.const 1)))
                (block $done
                  (loop $k
                    (br_if $done (i32.ge_u (local.get $m) (i32.const 1048576)))
                    (i32.store8 (local.get $m) (i32.const 1))
                    (local.set $m (i32.add (local.get $m) (local.get $p)))
                    (br $k)))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $p) (i32.const 1048576)))))
        ;; a = b + 3 c, arrays of 66 MiB each
        (func (export "stream") (local $i i32)
          (loop $l
            (f64.store (local.get $i)
              (f64.add (f64.load offset=69206016 (local.get $i))
                (f64.mul (f64.const 3) (f64.load offset=138412032 (local.get $i)))))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 69206016)))))
        ;; text of 1 MiB at 1 MiB, of words that repeat
        (func (export "text") (local $i i32) (local $x i32)
          (local.set $x (i32.const 123456789))
          (loop $l
            (local.set $x (call $next (local.get $x)))
            (i64.store offset=1048576 (local.get $i)
              (i64.mul (i64.extend_i32_u (i32.and (local.get $x) (i32.const 255)))
                (i64.const 0x0101030507090b0d)))
            (local.set $i (i32.add (local.get $i) (i32.const 7)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 1048569)))))
        ;; LZ: a table of 64 Ki places at 0, text at 1 MiB, output at 2 MiB
        (func (export "compress") (local $i i32) (local $o i32) (local $h i32) (local $m i32)
            (local $n i32)
          (memory.fill (i32.const 0) (i32.const 0) (i32.const 262144))
          (local.set $i (i32.const 1048576))
          (local.set $o (i32.const 2097152))
          (loop $l
            (local.set $h (i32.shl (i32.shr_u
                (i32.mul (i32.load (local.get $i)) (i32.const 0x9e3779b1)) (i32.const 16))
              (i32.const 2)))
            (local.set $m (i32.load (local.get $h)))
            (i32.store (local.get $h) (local.get $i))
            (local.set $n (i32.const 0))
            (if (local.get $m)
              (then
                (block $end
                  (loop $k
                    (br_if $end (i32.ge_u (i32.add (local.get $i) (local.get $n))
                      (i32.const 2097144)))
                    (br_if $end (i32.ne
                      (i32.load8_u (i32.add (local.get $i) (local.get $n)))
                      (i32.load8_u (i32.add (local.get $m) (local.get $n)))))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if $k (i32.lt_u (local.get $n) (i32.const 255)))))))
            (if (i32.ge_u (local.get $n) (i32.const 4))
              (then
                (i32.store8 (local.get $o) (local.get $n))
                (i32.store offset=1 (local.get $o) (i32.sub (local.get $i) (local.get $m)))
                (local.set $o (i32.add (local.get $o) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (local.get $n))))
              (else
                (i32.store8 (local.get $o) (i32.load8_u (local.get $i)))
                (local.set $o (i32.add (local.get $o) (i32.const 1)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 2097144))))))
      """;

  private EndiveCpu() {}

  /**
   * Measures guests, in other JVMs; or one, over one memory, in this.
   *
   * @param args names of guests; or a name, a memory and a file, as a child gets them
   * @throws IOException if a JVM cannot be started
   * @throws InterruptedException if it is interrupted
   */
  public static void main(String[] args) throws IOException, InterruptedException {
    if (args.length == 3 && MEMORIES.contains(args[1])) {
      System.out.println(measure(args[0], args[1], Parser.parse(Path.of(args[2]))));
      return;
    }
    List<String> guests = args.length == 0 ? GUESTS : List.of(args);
    if (!GUESTS.containsAll(guests)) {
      throw new IllegalArgumentException(guests + ": of " + GUESTS);
    }
    Path kernels = Files.createTempFile("kernels", ".wasm");
    try {
      Files.write(kernels, Wat.toBytes(WAT));
      measureAll(guests, kernels);
    } finally {
      Files.delete(kernels);
    }
  }

  private static void measureAll(List<String> guests, Path kernels)
      throws IOException, InterruptedException {
    System.out.printf(Locale.ROOT, "%-10s", "guest");
    MEMORIES.forEach(memory -> System.out.printf(Locale.ROOT, " %16s", memory));
    System.out.println();
    for (String guest : guests) {
      System.out.printf(Locale.ROOT, "%-10s", guest);
      double own = 0;
      for (String memory : MEMORIES) {
        double micros = child(guest, memory, kernels);
        own = own == 0 ? micros : own;
        System.out.printf(
            Locale.ROOT,
            " %16s",
            memory.equals("endive")
                ? String.format(Locale.ROOT, "%,.0f us", micros)
                : String.format(Locale.ROOT, "%.2f", micros / own));
        System.out.flush();
      }
      System.out.println();
    }
  }

  private static double child(String guest, String memory, Path kernels)
      throws IOException, InterruptedException {
    Process child =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx1g",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                EndiveCpu.class.getName(),
                guest,
                memory,
                kernels.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    String printed =
        new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
    int status = child.waitFor();
    if (status != 0) {
      throw new IOException(guest + " over " + memory + " ended with status " + status);
    }
    return Double.parseDouble(printed);
  }

  /** Microseconds of CPU time of one run. */
  private static double measure(String guest, String memory, WasmModule kernels) {
    if (memory.equals("endive")) {
      return period(runnable(guest, kernels, ByteArrayMemory::new));
    }
    boolean mmu = memory.startsWith("mmu");
    try (GuestMemory tracked = GuestMemory.over(mmu ? MmuTracker.log() : DirtyLog.create())) {
      GuestSlot slot = tracked.addSlot(0, 0, 256L << 20);
      Vcpu vcpu = tracked.addVcpu();
      Runnable run = runnable(guest, kernels, limits -> TrackedMemory.over(slot, vcpu, limits));
      DirtyClient<GuestSlot> client = tracked.client("benchmark", InitialView.NONE_DIRTY);
      Thread taker = memory.endsWith("takes") ? startTaker(client) : null;
      double micros = period(run);
      vcpu.offline();
      if (taker != null) {
        taker.interrupt();
        join(taker);
      }
      return micros;
    }
  }

  private static Thread startTaker(DirtyClient<GuestSlot> client) {
    return Thread.ofPlatform()
        .daemon()
        .start(() -> {
          while (!Thread.currentThread().isInterrupted()) {
            LockSupport.parkNanos(TAKE_MILLIS * 1_000_000);
            try (DirtyBatch<GuestSlot> batch = client.take()) {
              batch.commit();
            }
          }
        });
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static double period(Runnable run) {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    while (threads.getCurrentThreadCpuTime() < WARM_UP_NANOS) {
      run.run();
    }
    List<Double> micros = new ArrayList<>();
    for (int i = 0; i < PERIODS; i++) {
      long runs = 0;
      long cpu = threads.getCurrentThreadCpuTime();
      long spent;
      do {
        run.run();
        runs++;
        spent = threads.getCurrentThreadCpuTime() - cpu;
      } while (spent < PERIOD_NANOS);
      micros.add(spent / 1e3 / runs);
    }
    return micros.stream().mapToDouble(Double::doubleValue).min().orElseThrow();
  }

  private static Runnable runnable(
      String guest, WasmModule kernels, Function<MemoryLimits, Memory> memory) {
    if (guest.equals("quickjs")) {
      Engine engine = Engine.builder().withMemoryFactory(memory).build();
      return () -> {
        int code = engine.compile(SCRIPT);
        engine.exec(code);
        engine.free(code);
      };
    }
    Instance instance =
        Instance.builder(kernels)
            .withMachineFactory(MachineFactoryCompiler::compile)
            .withMemoryFactory(memory)
            .build();
    instance.export("text").apply();
    ExportFunction kernel = instance.export(guest);
    return () -> kernel.apply();
  }
}
