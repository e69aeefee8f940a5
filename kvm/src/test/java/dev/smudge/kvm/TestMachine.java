package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.RingFullPolicy;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
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

    TestMachine machine(UnaryOperator<Tracker> interceptor) {
      DirtyLogBuilder options = DirtyLog.builder().interceptTracker(interceptor);
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

  static Set<String> take(DirtyClient<GuestSlot> client) {
    Set<String> found = new TreeSet<>();
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        for (long page = first; page < first + count; page++) {
          found.add(slot.id() + ":" + page);
        }
      });
      batch.commit();
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

    Software(boolean ring, DirtyLogBuilder options) {
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
    final KvmTracker backend;
    final PageWriter program;
    final KvmVcpu vcpu;
    final KvmRunner runner;
    final Cpu first;
    private final List<Cpu> cpus = new ArrayList<>();

    Kernel(int ring, boolean initiallySet, DirtyLogBuilder options) {
      this(Kvm.open(), ring, initiallySet, options);
    }

    private Kernel(Kvm kvm, int ring, boolean initiallySet, DirtyLogBuilder options) {
      this(kvm, vm(kvm, ring), initiallySet, options);
    }

    private static KvmVm vm(Kvm kvm, int ring) {
      KvmVm vm = kvm.createVm();
      if (ring > 0) {
        vm.enableDirtyRing(ring);
      }
      return vm;
    }

    private Kernel(Kvm kvm, KvmVm vm, boolean initiallySet, DirtyLogBuilder options) {
      this(kvm, vm, KvmTracker.over(vm, initiallySet), options);
    }

    private Kernel(Kvm kvm, KvmVm vm, KvmTracker backend, DirtyLogBuilder options) {
      super(GuestMemory.over(backend.log(options)));
      this.kvm = kvm;
      this.vm = vm;
      this.backend = backend;
      MemorySegment own = arena.allocate(PageWriter.SIZE, PAGE);
      vm.setSlot(PROGRAM_SLOT, 0, 0, own);
      program = new PageWriter(own);
      first = addVcpu(0);
      vcpu = first.vcpu;
      runner = first.runner;
    }

    @Override
    void write(long value, long... addresses) {
      first.write(value, addresses);
    }

    /** As {@link Cpu#start}, of the first vCPU. */
    CompletableFuture<Integer> start() {
      return first.start();
    }

    /** Adds a vCPU, with orders of its own. */
    Cpu addVcpu(int id) {
      Cpu cpu = new Cpu(this, id);
      cpus.add(cpu);
      return cpu;
    }

    @Override
    public void close() {
      memory.close();
      cpus.forEach(Cpu::close);
      vm.close();
      kvm.close();
      arena.close();
    }
  }

  /** A vCPU of the kernel's that runs the program. */
  static final class Cpu implements AutoCloseable {
    final PageWriter program;
    final KvmVcpu vcpu;
    final KvmRunner runner;
    private final ExecutorService executor = Executors.newSingleThreadExecutor(this::thread);
    private @Nullable Thread thread;

    Cpu(Kernel machine, int id) {
      program = id == 0 ? machine.program : machine.program.ofVcpu(id % PageWriter.MAX_VCPUS);
      vcpu = machine.vm.createVcpu(id);
      X86Registers.read(vcpu)
          .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, program.orders())
          .write(vcpu);
      runner = machine.backend.addVcpu(vcpu);
    }

    void write(long value, long... addresses) {
      program.list(addresses);
      program.iteration(value);
      assertEquals(RunLayout.EXIT_IO, runner.run());
      assertEquals(PageWriter.DONE_PORT, vcpu.ioPort());
    }

    private Thread thread(Runnable task) {
      Thread made = Thread.ofPlatform().daemon().unstarted(task);
      thread = made;
      return made;
    }

    /** Runs the guest in its own thread, until an exit that is not the runner's to handle. */
    CompletableFuture<Integer> start() {
      return CompletableFuture.supplyAsync(runner::run, executor);
    }

    /** Ends the run, and the runner. */
    @Override
    public void close() {
      try {
        runner.kick();
      } catch (IllegalStateException e) {
        // The vCPU is closed, which ends its run.
      }
      executor.close();
      Thread last = thread;
      if (last != null) {
        join(last);
      }
      runner.close();
    }

    private static void join(Thread thread) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }
}
