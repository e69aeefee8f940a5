package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmRunner;
import dev.smudge.kvm.KvmTracker;
import dev.smudge.kvm.KvmVm;
import dev.smudge.sync.DirtyLogBuilder;
import java.util.ArrayList;
import java.util.List;

/** A VM of the kernel's, whose memory is tracked by it. */
final class KvmMachine extends Machine {
  private final Kvm kvm;
  private final KvmVm vm;
  private final KvmTracker backend;
  private final List<KvmRunner> runners = new ArrayList<>();

  private KvmMachine(Kvm kvm, KvmVm vm, KvmTracker backend, GuestMemory memory) {
    super(memory);
    this.kvm = kvm;
    this.vm = vm;
    this.backend = backend;
  }

  /**
   * Makes a VM without vCPUs.
   *
   * @param log options of its dirty log
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @throws dev.smudge.kvm.KvmException if the kernel does not let us
   * @throws UnsupportedOperationException if it lacks what is needed
   */
  static KvmMachine create(DirtyLogBuilder log, int ring) {
    Kvm kvm = Kvm.open();
    try {
      return create(kvm, kvm.createVm(), log, ring);
    } catch (RuntimeException | Error e) {
      kvm.close();
      throw e;
    }
  }

  private static KvmMachine create(Kvm kvm, KvmVm vm, DirtyLogBuilder log, int ring) {
    try {
      if (ring != 0) {
        vm.enableDirtyRing(ring);
      }
      KvmTracker backend = KvmTracker.over(vm);
      return new KvmMachine(kvm, vm, backend, GuestMemory.over(backend.log(log)));
    } catch (RuntimeException | Error e) {
      vm.close();
      throw e;
    }
  }

  /** Adds a vCPU, which is closed with this. */
  KvmRunner addVcpu(int index) {
    KvmRunner runner = backend.addVcpu(vm.createVcpu(index));
    runners.add(runner);
    return runner;
  }

  @Override
  long ringFullWaits() {
    return runners.stream().mapToLong(KvmRunner::fullExits).sum();
  }

  @Override
  public void close() {
    super.close(); // takes its slots out of the VM
    vm.close();
    kvm.close();
  }
}
