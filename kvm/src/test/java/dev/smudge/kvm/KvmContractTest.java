package dev.smudge.kvm;

@RequiresKvm
class KvmContractTest extends TrackerContract {
  KvmContractTest() {
    super(TestMachine.Kind.KVM);
  }
}
