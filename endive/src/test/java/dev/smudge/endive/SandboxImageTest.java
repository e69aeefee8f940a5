package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.testbase.RamFile;
import dev.smudge.testbase.StackSqueeze;
import io.roastedroot.quickjs4j.core.Builtins;
import io.roastedroot.quickjs4j.core.Engine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ImportMemory;
import run.endive.runtime.ImportValues;
import run.endive.runtime.Instance;
import run.endive.wasm.types.MemoryLimits;

/** Resets of a sandbox: what a guest leaves is gone. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SandboxImageTest {
  /** One of each that an instance can change. */
  private static final String WAT =
      """
      (module (memory (export "memory") 2 20) (table $t 2 8 funcref)
        (global $g (mut i64) (i64.const 5))
        (type $int (func (result i32)))
        (func $one (result i32) (i32.const 1))
        (func $two (result i32) (i32.const 2))
        (elem (table $t) (i32.const 0) func $one)
        (elem $passive func $two)
        (data $bytes "abc")
        (data (i32.const 8) "base")
        (func (export "leave")
          (global.set $g (i64.const 99))
          (i64.store (i32.const 8) (i64.const -1))
          (i64.store (i32.const 70000) (i64.const -1))
          (drop (memory.grow (i32.const 3)))
          (i64.store (i32.const 300000) (i64.const -1))
          (table.init $t $passive (i32.const 0) (i32.const 0) (i32.const 1))
          (elem.drop $passive)
          (data.drop $bytes))
        (func (export "growTable") (drop (table.grow $t (ref.func $two) (i32.const 1))))
        (func (export "global") (result i64) (global.get $g))
        (func (export "pages") (result i32) (memory.size))
        (func (export "grow") (drop (memory.grow (i32.const 3))))
        (func (export "load") (param i32) (result i64) (i64.load (local.get 0)))
        (func (export "call") (result i32) (call_indirect (type $int) (i32.const 0)))
        (func (export "init") (table.init $t $passive (i32.const 1) (i32.const 0) (i32.const 1)))
        (func (export "data") (memory.init $bytes (i32.const 0) (i32.const 0) (i32.const 3))))
      """;

  private final Guest guest = new Guest(512);

  private Instance instance() {
    return Instance.builder(Wat.compile(WAT))
        .withMachineFactory(MachineFactoryCompiler::compile)
        .withMemoryFactory(guest::linear)
        .build();
  }

  private SandboxImage image(Instance instance) {
    return SandboxImage.of(guest.memory, (TrackedMemory) instance.memory());
  }

  private static long call(Instance instance, String name, long... arguments) {
    long[] results = instance.export(name).apply(arguments);
    return results == null || results.length == 0 ? 0 : results[0];
  }

  @Test
  void restore_guestThatChangedAllItCan_isAsItWas() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      byte[] before = instance.memory().readBytes(0, 2 << 16);
      for (int round = 0; round < 3; round++) {
        call(instance, "leave");
        assertEquals(99, call(instance, "global"));
        assertEquals(2, call(instance, "call"));
        assertThrows(RuntimeException.class, () -> call(instance, "init"));
        assertThrows(RuntimeException.class, () -> call(instance, "data"));
        assertEquals(5, call(instance, "pages"));

        assertEquals(3, image.restore());

        assertEquals(5, call(instance, "global"));
        assertEquals(1, call(instance, "call"));
        assertEquals(2, call(instance, "pages"));
        assertThrows(RuntimeException.class, () -> call(instance, "load", 300_000));
        assertArrayEquals(before, instance.memory().readBytes(0, 2 << 16));
        call(instance, "grow");
        assertEquals(0, call(instance, "load", 300_000), "memory that has grown is zero");
        call(instance, "init");
        call(instance, "data");
        image.restore();
      }
    }
  }

  /** Back to the older one, which is smaller, and forth again. */
  @Test
  void restore_twoImagesInTurn_eachHasItsSizeAndBytes() {
    Instance instance = instance();
    try (guest;
        SandboxImage small = image(instance)) {
      call(instance, "leave");
      try (SandboxImage large = image(instance)) {
        for (int round = 0; round < 3; round++) {
          small.restore();
          assertEquals(2, call(instance, "pages"));
          assertEquals(5, call(instance, "global"));
          guest.vcpu.offline();
          large.restore();
          assertEquals(5, call(instance, "pages"));
          assertEquals(99, call(instance, "global"));
          assertEquals(-1, call(instance, "load", 300_000));
        }
      }
    }
  }

  /** The one that exports the memory was initialized first. */
  @Test
  void restore_twoInstancesHaveTheMemory_bothAreAsTheyWere() {
    Instance first = instance();
    Instance second =
        Instance.builder(
                Wat.compile(
                    """
                    (module (import "first" "memory" (memory 2 20))
                      (global $g (mut i64) (i64.const 6))
                      (func (export "leave")
                        (global.set $g (i64.const 98)) (i64.store (i32.const 16) (i64.const -1)))
                      (func (export "global") (result i64) (global.get $g)))
                    """))
            .withImportValues(
                ImportValues.builder()
                    .addMemory(new ImportMemory("first", "memory", first.memory()))
                    .build())
            .build();
    try (guest;
        SandboxImage image = image(first)) {
      call(first, "leave");
      call(second, "leave");
      image.restore();
      assertEquals(5, call(first, "global"));
      assertEquals(6, call(second, "global"));
      assertEquals(0, call(first, "load", 16));
    }
  }

  @Test
  void restore_tableThatHasGrown_refusedAndNothingChanged() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      call(instance, "leave");
      call(instance, "growTable");
      IllegalStateException refused = assertThrows(IllegalStateException.class, image::restore);
      assertTrue(
          Objects.requireNonNull(refused.getMessage()).contains("from 2 to 3"),
          refused::getMessage);
      assertEquals(99, call(instance, "global"));
      assertEquals(-1, call(instance, "load", 8));
    }
  }

  @Test
  void restore_nothingWasWritten_writesNothing() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      call(instance, "leave");
      assertEquals(3, image.restore());
      assertEquals(0, image.restore());
      assertEquals(0, image.restore());
    }
  }

  @Test
  void restore_anotherClient_isToldOfWhatWasWritten() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      call(instance, "leave");
      guest.vcpu.offline();
      guest.copyDirtyPages();
      image.restore();
      assertTrue(guest.copyDirtyPages().containsAll(Set.of(0L, 17L)));
      guest.assertCopyIsEqual();
    }
  }

  /** A page that is written and not marked is as in the image, and no later reset writes it. */
  @Test
  void restore_stackEndsAtEveryCall_anotherClientMissesNothing() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      int errors =
          StackSqueeze.squeeze(
              () -> {
                instance.memory().writeLong(8, -1);
                instance.memory().writeLong(70_000, -1);
                guest.vcpu.offline();
                guest.copyDirtyPages();
              },
              image::restore,
              thrown -> {
                image.restore();
                guest.copyDirtyPages();
                guest.assertCopyIsEqual();
              });
      assertTrue(errors > 20, errors + " errors");
    }
  }

  /** The guest runs elsewhere by then. */
  @Test
  void restore_sealed_refusedAndNothingIsWritten() {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      instance.memory().writeLong(8, -1);
      guest.vcpu.offline();
      guest.memory.seal();
      assertThrows(SealedException.class, image::restore);
      guest.memory.unseal();
      guest.copyDirtyPages();
      assertEquals(-1, call(instance, "load", 8));
      assertEquals(1, image.restore());
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void restore_vcpuOnlineElsewhere_refusedAndNothingChanged() throws Exception {
    Instance instance = instance();
    try (guest;
        SandboxImage image = image(instance)) {
      call(instance, "leave");
      guest.vcpu.offline();
      CountDownLatch online = new CountDownLatch(1);
      CountDownLatch end = new CountDownLatch(1);
      Thread other =
          Thread.ofPlatform()
              .start(() -> {
                guest.vcpu.online();
                online.countDown();
                await(end);
                guest.vcpu.offline();
              });
      online.await();
      assertThrows(VcpuException.class, image::restore);
      end.countDown();
      other.join();
      assertEquals(99, call(instance, "global"));
      image.restore();
      assertEquals(5, call(instance, "global"));
    }
  }

  @Test
  void of_sharedMemory_refused() {
    try (guest) {
      TrackedMemory shared = guest.linear(new MemoryLimits(1, 2, true));
      assertThrows(IllegalArgumentException.class, () -> SandboxImage.of(guest.memory, shared));
    }
  }

  @Test
  void of_memoryOfNoInstance_refused() {
    try (guest) {
      TrackedMemory none = guest.linear(1);
      assertThrows(NullPointerException.class, () -> SandboxImage.of(guest.memory, none));
    }
  }

  // QuickJS: scripts that nobody here wrote could do the same.

  private static void run(Engine engine, String script) {
    int code = engine.compile(script);
    engine.exec(code);
    engine.free(code);
  }

  private static final String LEAVE =
      """
      globalThis.secret = 'of the first script'.repeat(3);
      Array.prototype.leak = () => 'changed prototype';
      Object.prototype.everywhere = 42;
      JSON.parse = () => 'changed builtin';
      globalThis.kept = [];
      for (let i = 0; i < 200; i++) kept.push(new Uint8Array(20000).fill(i));
      """;

  private static final String LOOK =
      """
      host.print([typeof globalThis.secret, typeof [].leak, typeof ({}).everywhere,
          JSON.parse('1') === 1, typeof globalThis.kept].join());
      """;

  private static final String CLEAN = "undefined,undefined,undefined,true,undefined";

  @Test
  void restore_betweenScripts_nothingLeaks() {
    List<String> printed = new ArrayList<>();
    TrackedMemory[] made = new TrackedMemory[1];
    try (guest;
        Engine engine =
            Engine.builder()
                .withMemoryFactory(limits -> made[0] = guest.linear(limits))
                .addBuiltins(
                    Builtins.builder("host").addStringToVoid("print", s -> printed.add(s)).build())
                .build()) {
      TrackedMemory memory = made[0];
      try (SandboxImage image = SandboxImage.of(guest.memory, memory)) {
        int pages = memory.pages();
        byte[] base = memory.readBytes(0, pages << 16);
        for (int round = 0; round < 5; round++) {
          run(engine, LEAVE);
          assertTrue(memory.pages() > pages, "it has grown");
          if (round == 0) {
            run(engine, LOOK); // without a reset all of it is there
            assertEquals("string,function,number,false,object", printed.removeFirst());
          }
          long written = image.restore();
          assertTrue(written > 900, "4 MB were written: " + written);
          assertEquals(pages, memory.pages());
          assertArrayEquals(base, memory.readBytes(0, base.length));
          run(engine, LOOK);
          assertEquals(CLEAN, printed.removeFirst());
          image.restore();
        }
      }
    }
  }

  /** RAM is compared by code that may be compiled by then. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void restore_ramEndsInTheMiddle_isAnErrorOfThatCall(@TempDir Path directory) throws Exception {
    try (FileChannel file = RamFile.create(directory);
        Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      MemorySegment ram = file.map(FileChannel.MapMode.READ_WRITE, 0, 4 << 16, arena);
      GuestSlot slot = memory.addSlot(0, 0, ram, 1 << 16); // larger pages than the system's
      Instance instance =
          Instance.builder(Wat.compile(WAT))
              .withMachineFactory(MachineFactoryCompiler::compile)
              .withMemoryFactory(limits -> TrackedMemory.over(slot, memory.addVcpu(), limits))
              .build();
      try (SandboxImage image = SandboxImage.of(memory, (TrackedMemory) instance.memory())) {
        for (int i = 0; i < 20_000; i++) {
          memory.device().mark(0, 1);
          image.restore();
        }
        file.truncate(4096);
        for (int i = 0; i < 2_000; i++) {
          memory.device().mark(0, 1);
          assertThrows(InternalError.class, image::restore);
        }
      }
    }
  }
}
