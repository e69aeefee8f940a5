package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmRunner;
import dev.smudge.kvm.KvmTracker;
import dev.smudge.kvm.KvmVcpu;
import dev.smudge.kvm.KvmVm;
import dev.smudge.kvm.RunLayout;
import dev.smudge.kvm.X86Registers;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** A guest of 256 Ki pages whose one vCPU makes the same random pages dirty, and one client. */
abstract class DirtyMachine implements AutoCloseable {
  static final int PAGES = 1 << 18;
  static final int PAGE = 4096;
  static final int SLOT = 1;
  private static final long ADDRESS = 0x4000_0000L;

  final GuestMemory memory;
  private final long[] addresses;
  private final DirtyClient<LogSlot> client;
  private long value;

  private DirtyMachine(GuestMemory memory, int dirty) {
    this.memory = memory;
    this.addresses = addresses(dirty);
    memory.addSlot(SLOT, ADDRESS, (long) PAGES * PAGE);
    client = memory.log().client("benchmark", InitialView.NONE_DIRTY);
  }

  static DirtyMachine software(int dirty) {
    return new Software(dirty);
  }

  static Kernel kernel(int dirty) {
    Kvm kvm = Kvm.open();
    KvmVm vm = kvm.createVm();
    return new Kernel(kvm, vm, KvmTracker.over(vm), dirty);
  }

  /** Distinct pages, ascending. */
  private static long[] addresses(int dirty) {
    int[] pages = IntStream.range(0, PAGES).toArray();
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < dirty; i++) {
      int other = random.nextInt(i, PAGES);
      int page = pages[other];
      pages[other] = pages[i];
      pages[i] = page;
    }
    return Arrays.stream(pages, 0, dirty)
        .sorted()
        .mapToLong(page -> ADDRESS + (long) page * PAGE)
        .toArray();
  }

  /** Makes the pages dirty, and nothing else: what was left is taken before. */
  final void write() {
    take();
    value++;
    write(value, addresses);
  }

  abstract void write(long value, long[] addresses);

  final void sync() {
    memory.log().sync();
  }

  /** Takes the pages that were written, and commits. */
  final void takeDirty() {
    long count = take();
    if (count != addresses.length) {
      throw new IllegalStateException(count + " pages are dirty, written were " + addresses.length);
    }
  }

  private long take() {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      long count = batch.pageCount();
      batch.commit();
      return count;
    }
  }

  @Override
  public void close() {
    memory.close();
  }

  private static final class Software extends DirtyMachine {
    private final Vcpu vcpu;

    Software(int dirty) {
      super(GuestMemory.create(), dirty);
      this.vcpu = memory.addVcpu();
    }

    @Override
    void write(long value, long[] addresses) {
      for (long address : addresses) {
        vcpu.putLong(address, value);
        vcpu.safepoint();
      }
      vcpu.offline();
    }

    @Override
    public void close() {
      vcpu.close();
      super.close();
    }
  }

  /** The program is in a slot that is not the memory's. */
  static final class Kernel extends DirtyMachine {
    private static final int PROGRAM_SLOT = 500;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment bitmap = arena.allocate(PAGES / 8, 8);
    private final Kvm kvm;
    private final KvmVm vm;
    private final PageWriter program;
    private final KvmRunner runner;

    private Kernel(Kvm kvm, KvmVm vm, KvmTracker backend, int dirty) {
      super(GuestMemory.over(backend.log()), dirty);
      this.kvm = kvm;
      this.vm = vm;
      MemorySegment own = arena.allocate(PageWriter.SIZE, PAGE);
      vm.setSlot(PROGRAM_SLOT, 0, 0, own);
      program = new PageWriter(own);
      KvmVcpu vcpu = vm.createVcpu(0);
      X86Registers.read(vcpu)
          .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, program.orders())
          .write(vcpu);
      runner = backend.addVcpu(vcpu);
    }

    @Override
    void write(long value, long[] addresses) {
      program.iteration(value);
      for (int from = 0; from < addresses.length; from += PageWriter.MAX_ENTRIES) {
        int to = Math.min(from + PageWriter.MAX_ENTRIES, addresses.length);
        program.list(Arrays.copyOfRange(addresses, from, to));
        int exit = runner.run();
        if (exit != RunLayout.EXIT_IO) {
          throw new IllegalStateException("the guest stopped for the reason " + exit);
        }
      }
    }

    /** The bare call. */
    void get() {
      vm.getDirtyLog(SLOT, bitmap);
    }

    /** The bare calls: the fetch, and one clear of all that was fetched. */
    void getAndClear() {
      get();
      vm.clearDirtyLog(SLOT, 0, PAGES, bitmap);
    }

    @Override
    public void close() {
      super.close();
      runner.close();
      vm.close();
      kvm.close();
      arena.close();
    }
  }
}
