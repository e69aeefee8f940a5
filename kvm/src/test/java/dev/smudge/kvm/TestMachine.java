package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestBatch;
import dev.smudge.core.GuestClient;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBackend;
import dev.smudge.sync.RingFullPolicy;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** A guest whose one vCPU writes what the test says, over one backend. */
abstract class TestMachine implements AutoCloseable {
  static final int PAGE = 4096;

  /** The backends. */
  enum Kind {
    SOFTWARE,
    SOFTWARE_RING,
    KVM,
    KVM_RING;

    boolean isKvm() {
      return this == KVM || this == KVM_RING;
    }

    boolean hasRing() {
      return this == SOFTWARE_RING || this == KVM_RING;
    }

    TestMachine machine() {
      return machine(b -> b);
    }

    TestMachine machine(UnaryOperator<DirtyLogBackend> interceptor) {
      DirtyLog.Builder options = DirtyLog.builder().interceptBackend(interceptor);
      return isKvm()
          ? new Kernel(hasRing() ? 256 : 0, true, options)
          : new Software(hasRing(), options);
    }
  }

  final Arena arena = Arena.ofShared();
  final GuestMemory memory;

  TestMachine(GuestMemory memory) {
    this.memory = memory;
  }

  /** The guest writes eight bytes to each address. */
  abstract void write(long value, long... addresses);

  /** RAM for a slot. */
  MemorySegment ram(long pages) {
    return arena.allocate(pages * PAGE, PAGE);
  }

  static Set<String> take(GuestClient client) {
    Set<String> found = new TreeSet<>();
    try (GuestBatch batch = client.take()) {
      batch.forEachRun((slot, first, count, content) -> {
        for (long page = first; page < first + count; page++) {
          found.add(slot.id() + ":" + page);
        }
      });
      batch.commit();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return found;
  }

  @Override
  public void close() {
    memory.close();
    arena.close();
  }

  private static final class Software extends TestMachine {
    private final Vcpu vcpu;

    Software(boolean ring, DirtyLog.Builder options) {
      super(
          GuestMemory.over((ring ? options.ring(256, 64, RingFullPolicy.SPILL) : options).build()));
      vcpu = memory.addVcpu();
    }

    @Override
    void write(long value, long... addresses) {
      for (long address : addresses) {
        vcpu.putLong(address, value);
        vcpu.safepoint();
      }
      vcpu.offline();
    }
  }

  /** The program is in a slot that is not the memory's. */
  static final class Kernel extends TestMachine {
    static final int PROGRAM_SLOT = 500;

    final Kvm kvm;
    final KvmVm vm;
    final KvmBackend backend;
    final PageWriter program;
    final KvmVcpu vcpu;
    final KvmRunner runner;
    private @Nullable Thread thread;

    Kernel(int ring, boolean initiallySet, DirtyLog.Builder options) {
      this(Kvm.open(), ring, initiallySet, options);
    }

    private Kernel(Kvm kvm, int ring, boolean initiallySet, DirtyLog.Builder options) {
      this(kvm, vm(kvm, ring), initiallySet, options);
    }

    private static KvmVm vm(Kvm kvm, int ring) {
      KvmVm vm = kvm.createVm();
      if (ring > 0) {
        vm.enableDirtyRing(ring);
      }
      return vm;
    }

    private Kernel(Kvm kvm, KvmVm vm, boolean initiallySet, DirtyLog.Builder options) {
      this(kvm, vm, KvmBackend.over(vm, initiallySet), options);
    }

    private Kernel(Kvm kvm, KvmVm vm, KvmBackend backend, DirtyLog.Builder options) {
      super(GuestMemory.over(backend.log(options)));
      this.kvm = kvm;
      this.vm = vm;
      this.backend = backend;
      MemorySegment own = arena.allocate(PageWriter.SIZE, PAGE);
      vm.setSlot(PROGRAM_SLOT, 0, 0, own);
      program = new PageWriter(own);
      vcpu = vm.createVcpu(0);
      X86Registers.read(vcpu)
          .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, PageWriter.ORDERS)
          .write(vcpu);
      runner = backend.addVcpu(vcpu);
    }

    @Override
    void write(long value, long... addresses) {
      program.list(addresses);
      program.iteration(value);
      assertEquals(RunLayout.EXIT_IO, runner.run());
      assertEquals(PageWriter.DONE_PORT, vcpu.ioPort());
    }

    /** Runs the guest in a thread of its own, until an exit that is not the runner's to handle. */
    CompletableFuture<Integer> start() {
      CompletableFuture<Integer> end = new CompletableFuture<>();
      thread =
          Thread.ofPlatform()
              .daemon()
              .start(() -> {
                try {
                  end.complete(runner.run());
                } catch (Throwable e) {
                  end.completeExceptionally(e);
                }
              });
      return end;
    }

    @Override
    public void close() {
      memory.close();
      if (thread != null) {
        runner.kick();
        try {
          thread.join();
        } catch (InterruptedException e) {
          throw new AssertionError(e);
        }
      }
      runner.close();
      vm.close();
      kvm.close();
      arena.close();
    }
  }
}
