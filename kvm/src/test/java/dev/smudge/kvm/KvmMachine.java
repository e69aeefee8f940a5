package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestMemory;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** A guest of the kernel's. Its program is in a slot that is not the memory's. */
final class KvmMachine extends GuestMachine {
  static final int PROGRAM_SLOT = 500;

  final Kvm kvm;
  final KvmVm vm;
  final KvmTracker backend;
  final PageWriter program;
  final KvmVcpu vcpu;
  final KvmRunner runner;
  final Cpu first;
  private final List<Cpu> cpus = new ArrayList<>();

  static KvmMachine withBitmaps(UnaryOperator<Tracker> interceptor) {
    return new KvmMachine(0, true, DirtyLog.builder().interceptTracker(interceptor));
  }

  static KvmMachine withRing(UnaryOperator<Tracker> interceptor) {
    return new KvmMachine(256, true, DirtyLog.builder().interceptTracker(interceptor));
  }

  /** A ring of that many entries for each vCPU, or bitmaps if there are none. */
  KvmMachine(int ring, boolean initiallySet, DirtyLogBuilder options) {
    this(Kvm.open(), ring, initiallySet, options);
  }

  private KvmMachine(Kvm kvm, int ring, boolean initiallySet, DirtyLogBuilder options) {
    this(kvm, vm(kvm, ring), ring > 0, initiallySet, options);
  }

  private static KvmVm vm(Kvm kvm, int ring) {
    KvmVm vm = kvm.createVm();
    if (ring > 0) {
      vm.enableDirtyRing(ring);
    }
    return vm;
  }

  private KvmMachine(
      Kvm kvm, KvmVm vm, boolean hasRing, boolean initiallySet, DirtyLogBuilder options) {
    this(kvm, vm, hasRing, KvmTracker.over(vm, initiallySet), options);
  }

  private KvmMachine(
      Kvm kvm, KvmVm vm, boolean hasRing, KvmTracker backend, DirtyLogBuilder options) {
    super(GuestMemory.over(backend.log(options)), hasRing);
    this.kvm = kvm;
    this.vm = vm;
    this.backend = backend;
    MemorySegment own = ram(PageWriter.SIZE / PAGE);
    vm.setSlot(PROGRAM_SLOT, 0, 0, own);
    program = new PageWriter(own);
    first = addVcpu(0);
    vcpu = first.vcpu;
    runner = first.runner;
  }

  @Override
  public void write(long value, long... addresses) {
    first.write(value, addresses);
  }

  @Override
  protected boolean isRefusal(RuntimeException error) {
    return error instanceof KvmException || super.isRefusal(error);
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
  protected void stop() {
    cpus.forEach(Cpu::close);
    vm.close();
    kvm.close();
  }

  /** A vCPU of the kernel's that runs the program. */
  static final class Cpu implements AutoCloseable {
    final PageWriter program;
    final KvmVcpu vcpu;
    final KvmRunner runner;
    private final ExecutorService executor = Executors.newSingleThreadExecutor(this::thread);
    private @Nullable Thread thread;

    Cpu(KvmMachine machine, int id) {
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
