package dev.smudge.kvm;

@RequiresKvm
class KvmContractTest extends BackendContract {
  KvmContractTest() {
    super(TestMachine.Kind.KVM);
  }
}
